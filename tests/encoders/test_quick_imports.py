"""Tests of importing torchvision and timm without torch's compiler."""

import subprocess
import sys
from textwrap import dedent

OPEN = """
    import sys
    from clipfeat.encoders import EncoderOptions, open_encoder
    options = EncoderOptions(untrained=True)
    open_encoder("timm:tf_efficientnet_lite0", options, n_images=1, samples=list)
"""


def run(code: str) -> None:
    """Run Python code in a new process."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", dedent(code)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


def test_an_encoder_opens_without_the_compiler() -> None:
    run(
        OPEN
        + """
    assert "torch._dynamo" not in sys.modules
    """
    )


def test_the_compiler_works_afterwards() -> None:
    """Functions excluded from compilation still run inside compiled functions."""
    run(
        OPEN
        + """
    import torch
    from clipfeat.encoders.quick_imports import quick_imports

    with quick_imports():
        @torch.compiler.disable
        def double(x):
            return x * (100 if torch.compiler.is_compiling() else 2)

    assert "torch._dynamo" not in sys.modules
    compiled = torch.compile(lambda x: double(x) + 1, backend="eager")
    assert compiled(torch.ones(1)).item() == 3
    assert torch._dynamo.__file__
    """
    )


def test_other_functions_of_the_compiler_are_found() -> None:
    run("""
    import sys
    from clipfeat.encoders.quick_imports import quick_imports
    with quick_imports():
        import torch
        import torch._dynamo
        assert not hasattr(torch._dynamo, "__file__")
        from torch._dynamo.utils import same
        assert same(torch.ones(1), torch.ones(1))
    assert torch._dynamo.__file__
    assert sys.modules["torch._dynamo"].utils is sys.modules["torch._dynamo.utils"]
    """)
