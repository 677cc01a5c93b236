"""LoadMaster HA operator: Kemp LoadMaster pairs in Azure as one highly available load balancer.

docs/architecture.md says which package does what and who may import whom.
"""
