from mixdata.kernels import kernel as kernel
