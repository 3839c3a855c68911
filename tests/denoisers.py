"""What a denoiser must predict so that a sampler arrives at a latent that is known."""

from latentfoley.diffusion import add_noise
from latentfoley.notation import Latent


def predict_eps(z_n: Latent, z_0: Latent, n: float, schedule) -> Latent:
    """Return ε̂ = (z_n − α_n z_0) / σ_n, the noise that `z_0` implies."""
    one, other = z_n.new_ones(z_n.shape), z_n.new_zeros(z_n.shape)
    alpha, sigma = add_noise(one, other, n, schedule), add_noise(other, one, n, schedule)
    return (z_n - alpha * z_0) / sigma
