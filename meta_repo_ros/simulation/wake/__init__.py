# SPDX-License-Identifier: Apache-2.0
"""A rotor's wake in the vortex ring state, and what sensors at the rotor see of it: simulated."""
