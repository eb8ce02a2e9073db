import type { RoundState } from './reconcile.ts';
import type { AgentStatus } from './status.ts';
import { VERSION } from './version.ts';

/** Everything that the agent knows, for a bug report; no key material. */
export function debugInfo(status: AgentStatus, { config, plan }: RoundState, endpoints: unknown) {
  const { wireguard, ipsec, epochs } = status.encryption;
  return {
    'cilium-version': VERSION,
    'cilium-status': status,
    encryption: {
      ...(wireguard && { wireguard: { interfaces: wireguard.interfaces } }),
      ...(ipsec && { ipsec }),
      ...(epochs && { epochs }),
    },
    'endpoint-list': endpoints,
    configuration: config,
    plan: plan && { network: plan.network, ground: plan.ground, ipsec: plan.ipsec, paths: plan.paths },
  };
}
