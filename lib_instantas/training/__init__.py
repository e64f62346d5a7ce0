"""Any Ratio Adaptability Diffusion (Any-Size-Diffusion, stage I): a LoRA that teaches a model pictures of other ratios.

ratios.py    the nine ratios of the paper, and which size stands for each
pictures.py  a folder of pictures and captions, checked through and through
latents.py   the pictures as latents, one file per size
trainer.py   the training: batches of one size, state to go on from, sample sheets
"""
