"""What several tests need: small cohorts, cheap trials, made studies, servers on loopback."""
