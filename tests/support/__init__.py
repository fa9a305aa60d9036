"""What several folders of tests need: clients driven in a mode, servers of bytes, proxies, certificates, payloads."""
