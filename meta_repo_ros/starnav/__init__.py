# SPDX-License-Identifier: Apache-2.0
"""From star images to attitude and position: catalogue, detection, identification, filter, fix.

May use ``core`` alone; only the processor and its helpers know messages.
"""
