"""The load balancers' traffic: probes, flows, address translation, security rules, for real."""
