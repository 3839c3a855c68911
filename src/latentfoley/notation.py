"""The paper's symbols, our names for them, and the letters of tensor axes.

Inside the mathematics the code uses the symbols of AudioLDM (arXiv 2301.12503); outside, words.

| paper     | code                | meaning                                                     |
|-----------|---------------------|-------------------------------------------------------------|
| x         | `waveform`          | samples in [-1, 1]                                          |
| X         | `log_mel`           | log-mel spectrogram in nats                                 |
| z_0       | `z_0`               | scaled latent of a log-mel                                  |
| z_n       | `z_n`               | latent at diffusion step n = 0 … 999                        |
| ε, ε_θ    | `eps`, `denoiser`   | noise, and the network that predicts it                     |
| ᾱ_n       | `alpha_bar`         | share of signal power left at step n                        |
| E^x, E^y  | `E`                 | CLAP embedding of a sound or of a text, unit norm           |
| w         | `w`, `guidance`     | classifier-free guidance scale                              |
| r         | `compression`       | down-sampling factor of the VAE in time and in frequency    |

Axes: `B` batch, `C` channel, `T` frame, `F` mel bin, `N` sample, `D` embedding, `L` token.
"""

from jaxtyping import Float
from torch import Tensor

Waveform = Float[Tensor, "B N"]
LogMel = Float[Tensor, "B 1 T F"]
Latent = Float[Tensor, "B C T F"]
Embedding = Float[Tensor, "B D"]
