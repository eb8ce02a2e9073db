/** How many nodes encrypt as the configuration asks for. */
import type { CiliumNode, ConfigMap, DaemonSet, Pod } from '../../kube/types.ts';
import { keyIdOf, type Protocol, protocolOf } from '../../model/epochs/epoch.ts';
import { PUBLIC_KEY_ANNOTATION } from '../../model/node.ts';
import { moveTo, type NodeWord, wordOf } from '../../operator/advertised.ts';
import { AGENT } from '../install/labels.ts';
import type { KeysSight } from '../keys.ts';

export interface Sealed {
  mode: 'Disabled' | 'Wireguard' | 'IPsec' | 'unknown';
  /** Those that do as the mode says. */
  nodes: number;
  of: number;
  nodeEncryption: boolean;
  /** Id of the key of IPsec that the Secret has, and how many nodes seal with it alone. */
  key?: { id: number; nodes: number };
}

interface Seen {
  config: ConfigMap | undefined;
  agent: DaemonSet | undefined;
  ciliumNodes: CiliumNode[];
  pods: Pod[];
  keys: KeysSight | undefined;
}

export function sealedNodes({ config, agent, ciliumNodes, pods, keys }: Seen): Sealed {
  const of = agent?.status?.desiredNumberScheduled ?? 0;
  if (!config) return { mode: 'unknown', nodes: 0, of, nodeEncryption: false };
  const { 'enable-wireguard': wireguard, 'enable-ipsec': ipsec, 'encrypt-node': node } = config.data ?? {};
  const words = ciliumNodes.map(wordOf);
  if (wireguard !== 'true' && ipsec !== 'true') {
    const others = words.filter(({ advertised }) => advertised && !sealsOnly('none', advertised.seals));
    return { mode: 'Disabled', nodes: Math.max(0, of - others.length), of, nodeEncryption: false };
  }
  const ready = new Set(pods.filter(pod => isAgent(pod) && isReady(pod)).map(pod => pod.spec.nodeName));
  const running = ciliumNodes.filter(({ metadata }) => ready.has(metadata.name));
  const seals = ipsec === 'true' ? sealsByIpsec : sealsByWireguard;
  return {
    mode: ipsec === 'true' ? 'IPsec' : 'Wireguard',
    nodes: Math.min(running.filter(seals).length, of),
    of,
    nodeEncryption: wireguard === 'true' && node === 'true',
    ...keyOf(keys, words),
  };
}

function keyOf(keys: KeysSight | undefined, words: NodeWord[]): Pick<Sealed, 'key'> {
  if (!keys || keys === 'forbidden' || !keys.secret || 'problem' in keys.secret) return {};
  const { epoch, current } = keys.secret;
  const { sealing, done } = moveTo(epoch, words);
  return { key: { id: current.id, nodes: sealing.length + done.length } };
}

function sealsByIpsec(node: CiliumNode): boolean {
  const { advertised } = wordOf(node);
  return (
    advertised !== undefined &&
    sealsOnly('ipsec', advertised.seals) &&
    advertised.opens.some(epoch => keyIdOf(epoch) !== undefined)
  );
}

function sealsByWireguard(node: CiliumNode): boolean {
  const { advertised } = wordOf(node);
  return (
    node.metadata.annotations?.[PUBLIC_KEY_ANNOTATION] !== undefined &&
    (advertised === undefined ||
      (sealsOnly('wireguard', advertised.seals) && advertised.opens.includes('wireguard')))
  );
}

function sealsOnly(protocol: Protocol, seals: readonly Parameters<typeof protocolOf>[0][]): boolean {
  return seals.every(epoch => protocolOf(epoch) === protocol);
}

function isAgent({ metadata }: Pod): boolean {
  return metadata.labels?.['k8s-app'] === AGENT;
}

function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}
