/** Cilium's metrics of IPsec, by their names (cilium_ipsec_…). */
import { INBOUND_DROPS, OUTBOUND_DROPS } from '../proto/esp/drops.ts';
import type { EncryptionStatus } from './encryption-status.ts';
import { type Family, gauge } from './metric-text.ts';

export function ipsecFamilies({ ipsec, epochs }: EncryptionStatus): Family[] {
  if (!ipsec) return [];
  const { 'xfrm-errors': errors, 'xfrm-states': states, 'xfrm-policies': policies } = ipsec;
  const byError = (type: string, names: Readonly<Record<string, string>>) =>
    Object.entries(names).map(([error, name]) => ({ labels: { type, error }, value: errors[name] ?? 0 }));
  const byDirection = (counts: Record<string, number>) =>
    Object.entries(counts).map(([direction, value]) => ({ labels: { direction }, value }));
  return [
    {
      name: 'cilium_ipsec_xfrm_error',
      help: 'Packets dropped by IPsec, by direction and reason',
      type: 'gauge',
      samples: [...byError('inbound', INBOUND_DROPS), ...byError('outbound', OUTBOUND_DROPS)],
    },
    gauge('cilium_ipsec_keys', 'Distinct keys in use', ipsec['keys-in-use']),
    {
      name: 'cilium_ipsec_xfrm_states',
      help: 'SAs, by direction',
      type: 'gauge',
      samples: byDirection(states),
    },
    {
      name: 'cilium_ipsec_xfrm_policies',
      help: 'Policies, by direction',
      type: 'gauge',
      samples: byDirection(policies),
    },
    gauge('cilium_ipsec_key_due', 'Whether a key has sealed nearly as much as it may', ipsec.due ? 1 : 0),
    gauge(
      'cilium_ipsec_key_refused',
      'Whether the Secret cannot be taken',
      ipsec.problem === undefined ? 0 : 1,
    ),
    gauge(
      'cilium_ipsec_epochs',
      'Epochs that this node opens; more than one while it moves',
      epochs?.advertised.opens.length ?? 0,
    ),
  ];
}
