"""Files and pages at addresses. The only part that imports `requests`."""

from gpuenv._net.addresses import Address
from gpuenv._net.client import Client, Page, open_remote
from gpuenv._net.exchange import Patience
from gpuenv._net.remote_file import RemoteFile
from gpuenv._net.silence import is_silent

__all__ = ["Address", "Client", "Page", "Patience", "RemoteFile", "is_silent", "open_remote"]
