"""What rattler says of channels that cannot be read, in own words: whether the channel is broken or not there."""

from __future__ import annotations

import pytest

from gpuenv.channels.conda.failures import explain_gateway
from gpuenv.channels.conda.places import ChannelPlace
from gpuenv.errors import FormatError, UnavailableError

PLACE = ChannelPlace(name="chan", address="http://gpu.invalid/chan", fetch_address="http://gpu.invalid/chan")


@pytest.mark.parametrize(
    "said",
    [
        "failed to parse repodata.json\nCaused by: EOF while parsing a value at line 1 column 146",
        "failed to extract repodata records from sparse repodata\nCaused by: missing field `build` at line 1 column 90",
        "failed to extract repodata records from sparse repodata\nCaused by: number out of range at line 1 column 9",
        "'../../x' is not a valid package name. Package names can only contain 0-9, a-z, A-Z, -, _, or .",
        "failed to download http://gpu.invalid/chan/noarch/repodata.json.zst\nCaused by: Unsupported frame parameter",
    ],
)
def test_broken_repodata_is_a_matter_of_format(said: str) -> None:
    """Those who keep the channel have to mend it; to ask again helps nothing."""
    error = explain_gateway(Exception(said), (PLACE,))
    assert isinstance(error, FormatError)
    assert error.message == "the channel `chan` has repodata that is broken"


@pytest.mark.parametrize(
    "said",
    [
        "error sending request for url (http://gpu.invalid/chan/noarch/repodata.json)\nCaused by: operation timed out",
        "failed to download http://gpu.invalid/x\nCaused by: error decoding response body\nCaused by: unexpected end",
        "error sending request for url (https://x)\nCaused by: invalid peer certificate: UnknownIssuer",
    ],
)
def test_a_server_that_fails_is_not_a_broken_channel(said: str) -> None:
    """Words that stand in an address, and errors of the connection, say nothing of the repodata."""
    error = explain_gateway(Exception(said), (PLACE,))
    assert isinstance(error, UnavailableError)
    assert error.message == "the channel `chan` does not answer"
