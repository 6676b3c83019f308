"""Every test of jobfetch."""
