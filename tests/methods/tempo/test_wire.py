"""The names that the rest of the method imports."""

from __future__ import annotations

import inspect
import subprocess
import sys

from coinslot.methods.tempo import wire


def test_all_names_are_exported() -> None:
    """`__all__` is exactly what is public in the module."""
    public = {
        name for name, value in vars(wire).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert set(wire.__all__) == public - {"annotations"}


def test_openssl_waits_for_its_first_signature() -> None:
    """Importing the wire, and reading a secp256k1 signature, loads no `cryptography`; a P-256 key does."""
    program = (
        "import sys\n"
        "from coinslot.methods.tempo import wire, keys\n"
        "from coinslot.methods.tempo.wire import p256\n"
        "wire.recover_signer(bytes(32), keys.PrivateKey.generate().sign(bytes(32)))\n"
        "print('cryptography' in sys.modules)\n"
        "p256.P256Key.generate()\n"
        "print('cryptography' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
