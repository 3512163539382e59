import pytest
import torch

from genkit.errors import ConfigError
from genkit.training.devices import check_precision, choose_device, computing_in


def test_a_device_that_is_not_there_is_named():
    assert choose_device("cpu") == torch.device("cpu")
    for name, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
        if not there:
            with pytest.raises(ConfigError, match=f"training.device: '{name}' is not available.*use auto or cpu"):
                choose_device(name)


def test_tf32_is_refused_where_there_is_none():
    with pytest.raises(ConfigError, match=r"training\.precision: tf32 is of NVIDIA GPUs, and this run is on 'cpu'"):
        check_precision("tf32", torch.device("cpu"))
    check_precision("tf32", torch.device("cuda"))
    before = torch.get_float32_matmul_precision()
    with computing_in("tf32", torch.nn.Module()):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before
