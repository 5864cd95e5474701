"""The dataset on disk: format, writer, index, reader, verify."""
