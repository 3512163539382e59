"""genkit: generative models with a latent space, from one config file or from Python.

The public interface is listed in `__init__.pyi`. Each name is imported when it is first used, so that `import genkit`
is quick. Public are these names, `genkit.interfaces`, `genkit.testing` and the command line; all else is internal and
may change with any version.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
