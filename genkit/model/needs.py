"""What the parts of a model need of each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from genkit.config import RunConfig
from genkit.errors import ComponentError
from genkit.interfaces import ENCODER_NEEDS, AutoregressiveDecoder, Decoder, FittedPrior, Latent, Loss, Prior, Sampler


def check_needs(
    config: RunConfig, sampler: Sampler, losses: Mapping[str, Loss], prior: Prior | None, decoder: Decoder
) -> None:
    """Refuse a term that needs what the model lacks, a prior that does not fit, and an encoder that no term reads."""
    if config.encoder is None and config.encoder_transform:
        raise ComponentError("encoder_transform is of no use: the config has no encoder; leave it out")
    generates = sampler.has_prior or (prior is not None and not isinstance(prior, FittedPrior))
    if config.encoder is None and not generates:
        raise ComponentError(
            f"sampler '{config.sampler.name}' has no prior to draw from, so the model needs an encoder"
        )
    if config.encoder is None and config.prior is not None and isinstance(prior, FittedPrior):
        raise ComponentError(
            f"prior '{config.prior.name}' is fitted to the latents of the data, and the model has no encoder to give "
            "them: leave the prior out, or choose one that is learned with the model"
        )
    if prior is not None and config.prior is not None and prior.support != sampler.support:
        raise ComponentError(
            f"prior '{config.prior.name}' is a density on {prior.support}, and the latents of sampler "
            f"'{config.sampler.name}' lie in {sampler.support}; choose a prior of that support"
        )
    for name, loss in losses.items():
        _check_term(config, name, loss, sampler, generates)
        if "generated" in loss.needs and isinstance(decoder, AutoregressiveDecoder):
            raise ComponentError(
                f"loss '{name}' needs generated data in each step of training, and decoder '{config.decoder.name}' "
                "generates them value by value; choose another decoder"
            )
    if config.encoder is not None and not any(set(loss.needs) & ENCODER_NEEDS for loss in losses.values()):
        terms = ", ".join(f"'{name}'" for name in losses)
        raise ComponentError(f"encoder '{config.encoder.name}' is read by no loss term ({terms}); leave it out")


def _check_term(config: RunConfig, name: str, loss: Loss, sampler: Sampler, generates: bool) -> None:
    if config.encoder is None and set(loss.needs) & ENCODER_NEEDS:
        raise ComponentError(f"loss '{name}' needs an encoder, and the config has none: say which encoder it uses")
    if "generated" in loss.needs and not generates:
        raise ComponentError(f"loss '{name}' needs a sampler with a prior; sampler '{config.sampler.name}' has none")
    if "prior" in loss.needs and not generates:
        raise ComponentError(
            f"loss '{name}' needs a prior to draw latents from; sampler '{config.sampler.name}' has none: name one "
            "that is not fitted after training (prior: normal)"
        )
    low, high = sampler.bounds
    if "unit_interval" in loss.needs and not (low >= 0 and high <= 1):
        raise ComponentError(
            f"loss '{name}' needs latents from 0 to 1; those of sampler '{config.sampler.name}' go from {low:g} "
            f"to {high:g}; give it an activation that bounds them (sigmoid)"
        )


def check_density(config: RunConfig, prior: Prior, latent: Latent, losses: Iterable[Loss]) -> None:
    """Refuse a prior for a sampler without the density that it needs; raises ComponentError.

    One that is fitted after training needs none, nor one without parameters whose draws a term compares latents with.
    """
    assert config.prior is not None
    without_kl = latent.kl is None and latent.log_ratio is None
    is_drawn = any("prior" in loss.needs for loss in losses) and not any(True for _ in prior.parameters())
    if latent.log_q is None and not (without_kl and (isinstance(prior, FittedPrior) or is_drawn)):
        raise ComponentError(
            f"prior '{config.prior.name}' needs a sampler that gives the density of its draws (log_q); sampler "
            f"'{config.sampler.name}' gives none: leave the prior out, or choose another sampler"
        )
