"""Does the paper's ranking of the three networks hold when they are trained as published, and what does that cost?

Table 1's width at 256x256x3, Adam 1e-4, 100 epochs of batches of 4, in bfloat16 on one GPU: U-Net, ResUNet and improved
ResUNet on virtual patients (400 frames to train, 100 to test) and on CAMUS (its own split, 100 validation frames).

Where the data are (it writes 37 MiB; real patients' pixels are in them, so keep them out of every repository):

    python -m studies.paper_on_gpu.data FOLDER --camus CAMUS_FOLDER

Where the GPU is, with JAX for it and Keras (TensorFlow isn't needed), and PyTorch for the comparison:

    KERAS_BACKEND=jax python -m studies.paper_on_gpu FOLDER --runs RUNS --seconds 540 --torch

That ends in time and goes on when it is given again; `--tiny` for both tries all of it on a processor, within minutes.

Cost: U-Net on the virtual patients takes two minutes on an H200, half of which is compiling; all six trainings would
take about a quarter of an hour of steps at that rate, an estimate. Result so far (docs/results/paper_on_gpu.md):
U-Net's Dice is 0.930 on the virtual patients, its step takes 5.0 ms where PyTorch takes 14.3; the other five trainings
are to be run.
"""
