# A recordist: sixty recordings without captions become a model, and a sound of it.
latentfoley data scan my-recordings
latentfoley data prepare my-recordings prepared --held-out 0.1
latentfoley data encode prepared latents --duration 4.8 --variations 2
latentfoley train diffusion my-recordings
latentfoley train report runs/my-recordings --out report.html
latentfoley train export runs/my-recordings my-model
latentfoley generate "waves on a beach" --model my-model -o out/
