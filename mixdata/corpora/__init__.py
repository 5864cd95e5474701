"""The corpora: one file each, picked up by themselves."""

from mixdata.corpora.base import Corpus, CorpusFacts, Download, corpus, corpus_facts, corpus_names, corpus_options, load_corpus

__all__ = ["Corpus", "CorpusFacts", "Download", "corpus", "corpus_facts", "corpus_names", "corpus_options", "load_corpus"]
