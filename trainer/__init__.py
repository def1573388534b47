"""The workstation's side of Linegate: from a folder of pictures to a bundle that the device trusts.

It enters `edge.bundle` and no other room of the device.
"""

__version__ = "0.1.0"
