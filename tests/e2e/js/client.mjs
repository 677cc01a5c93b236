// Reads and writes a load balancer through Microsoft's JavaScript SDK, and prints what it saw as one JSON object.
// Environment: ENDPOINT, TENANT, SUBSCRIPTION, GROUP, BALANCER; NODE_EXTRA_CA_CERTS names the emulator's CA.
import { NetworkManagementClient } from "@azure/arm-network";
import { ClientSecretCredential } from "@azure/identity";

const { ENDPOINT, TENANT, SUBSCRIPTION, GROUP, BALANCER } = process.env;

const credential = new ClientSecretCredential(TENANT, "00000000-0000-0000-0000-0000000000bb", "any", {
  authorityHost: ENDPOINT,
  disableInstanceDiscovery: true,
});
const client = new NetworkManagementClient(credential, SUBSCRIPTION, {
  endpoint: ENDPOINT,
  credentials: { scopes: [`${ENDPOINT}/.default`] },
});
const fast = { updateIntervalInMs: 50 };
const child = (kind, name) => ({ id: `${balancerId}/${kind}/${name}` });

let balancerId = "";
const seen = {};

const before = await client.loadBalancers.get(GROUP, BALANCER);
balancerId = before.id;
seen.before = { rules: before.loadBalancingRules.map((rule) => rule.name), etag: before.etag };

// Read, add a rule, write the whole balancer: what every client of this API does.
before.loadBalancingRules.push({
  name: "from-js",
  protocol: "Tcp",
  frontendPort: 8080,
  backendPort: 8080,
  frontendIPConfiguration: child("frontendIPConfigurations", before.frontendIPConfigurations[0].name),
  backendAddressPool: child("backendAddressPools", before.backendAddressPools[0].name),
  probe: child("probes", before.probes[0].name),
});
for (const pool of before.backendAddressPools) delete pool.loadBalancerBackendAddresses;
const written = await client.loadBalancers.beginCreateOrUpdateAndWait(GROUP, BALANCER, before, fast);
seen.written = { state: written.provisioningState, rules: written.loadBalancingRules.map((rule) => rule.name) };

const natRule = await client.inboundNatRules.beginCreateOrUpdateAndWait(
  GROUP,
  BALANCER,
  "from-js-nat",
  {
    protocol: "Tcp",
    frontendPort: 10022,
    backendPort: 2222,
    frontendIPConfiguration: child("frontendIPConfigurations", before.frontendIPConfigurations[0].name),
  },
  fast,
);
seen.natRule = { state: natRule.provisioningState, frontendPort: natRule.frontendPort };
await client.inboundNatRules.beginDeleteAndWait(GROUP, BALANCER, "from-js-nat", fast);

seen.listed = [];
for await (const balancer of client.loadBalancers.list(GROUP)) seen.listed.push(balancer.name);

seen.errors = {};
const refused = async (what, call) => {
  try {
    await call();
    seen.errors[what] = null;
  } catch (error) {
    seen.errors[what] = { status: error.statusCode, code: error.code };
  }
};
await refused("missing", () => client.loadBalancers.get(GROUP, "no-such-balancer"));
await refused("twoRulesOnOnePort", () => {
  const clash = { ...written.loadBalancingRules.at(-1), name: "clash", id: undefined, frontendPort: 8081 };
  const body = { ...written, loadBalancingRules: [...written.loadBalancingRules, clash] };
  for (const pool of body.backendAddressPools) delete pool.loadBalancerBackendAddresses;
  return client.loadBalancers.beginCreateOrUpdateAndWait(GROUP, BALANCER, body, fast);
});

const after = await client.loadBalancers.get(GROUP, BALANCER);
seen.after = {
  rules: after.loadBalancingRules.map((rule) => rule.name),
  natRules: after.inboundNatRules.map((rule) => rule.name),
  etag: after.etag,
};
console.log(JSON.stringify(seen));
