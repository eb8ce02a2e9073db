/** What the agents answer about encryption, and what it is together. */
import { type Move, moveText, moveTo, type NodeWord } from '../../operator/advertised.ts';
import { badKey, type KeysSight, missingKey } from '../keys.ts';

/** What `cilium encrypt status -o json` says in an agent, as far as it is read here. */
export interface AgentAnswer {
  mode: string;
  ipsec?: {
    'decrypt-interfaces'?: string[];
    'keys-in-use'?: number;
    /** `0x1e3/0xffffffffffffffff`, or `N/A`. */
    'max-seq-number'?: string;
    'error-count'?: number;
    /** Packets dropped, by the name of the reason. */
    'xfrm-errors'?: Record<string, number>;
  };
  wireguard?: { interfaces?: { name: string; 'public-key'?: string; 'peer-count'?: number }[] };
  /** What keeps the node from encrypting. */
  msg?: string;
}

export interface NodeAnswer {
  node: string;
  answer?: AgentAnswer;
  problem?: string;
}

export interface Gathered {
  answers: NodeAnswer[];
  words: NodeWord[];
  keys: KeysSight;
  namespace: string;
  /** Of the whole cluster, also when one was asked only. */
  agents: number;
}

const MODES = ['Disabled', 'IPsec', 'Wireguard'];

export function summaryText(gathered: Gathered): string {
  const { answers } = gathered;
  const lines = MODES.map(mode => [mode, number(answers, mode)] as const)
    .filter(([, nodes]) => nodes > 0)
    .map(([mode, nodes]) => `Encryption: ${mode} (${nodes}/${answers.length} nodes)`);
  if (number(answers, 'IPsec') > 0) lines.push(...ipsecLines(gathered));
  for (const { node, answer } of answers) if (answer?.msg) lines.push(`${node}: ${answer.msg}`);
  return lines.map(line => `${line}\n`).join('');
}

export function nodeText({ node, answer }: NodeAnswer): string {
  const lines = [`Node: ${node}`, `Encryption: ${answer?.mode ?? 'unknown'}`];
  for (const device of answer?.wireguard?.interfaces ?? [])
    lines.push(
      `Interface: ${device.name}`,
      `\tPublic key: ${device['public-key'] ?? ''}`,
      `\tNumber of peers: ${device['peer-count'] ?? 0}`,
    );
  const { ipsec } = answer ?? {};
  if (ipsec) {
    lines.push(
      `IPsec keys in use: ${ipsec['keys-in-use'] ?? 0}`,
      `IPsec highest Seq. Number: ${ipsec['max-seq-number'] ?? 'N/A'}`,
      `IPsec errors: ${ipsec['error-count'] ?? 0}`,
      ...Object.entries(ipsec['xfrm-errors'] ?? {}).map(([name, errors]) => `\t${name}: ${errors}`),
    );
  }
  if (answer?.msg) lines.push(answer.msg);
  return `${lines.join('\n')}\n`;
}

/** By the names that Cilium's command line gives them, and our own after them. */
export function asJson(gathered: Gathered): object {
  const { answers } = gathered;
  const counts = {
    'total-node-count': answers.length,
    'enc-disabled-node-count': number(answers, 'Disabled'),
    'enc-ipsec-node-count': number(answers, 'IPsec'),
    'enc-wireguard-node-count': number(answers, 'Wireguard'),
  };
  if (counts['enc-ipsec-node-count'] === 0) return counts;
  const ipsec = ipsecOf(gathered);
  return {
    ...counts,
    'ipsec-keys-in-use-node-count': Object.fromEntries(ipsec.keysInUse),
    'ipsec-max-seq-num': ipsec.highest,
    'ipsec-err-count': ipsec.errors,
    'ipsec-key-rotation-in-progress': ipsec.rotating,
    'ipsec-expected-key-count': ipsec.expected,
    'xfrm-errors': Object.fromEntries([...ipsec.byReason].map(([name, { errors }]) => [name, errors])),
    'xfrm-error-node-count': Object.fromEntries(
      [...ipsec.byReason].map(([name, { nodes }]) => [name, nodes]),
    ),
    ...(ipsec.key && { 'ipsec-key-id': ipsec.key.id, 'ipsec-key-fingerprint': ipsec.key.fingerprint }),
    ...(ipsec.move && { 'ipsec-key-rotation': ipsec.move }),
    ...(ipsec.problem && { 'ipsec-key-problem': ipsec.problem }),
  };
}

interface Ipsec {
  /** Number of keys, and how many nodes have so many. */
  keysInUse: Map<number, number>;
  highest: string;
  errors: number;
  rotating: boolean;
  expected: number;
  byReason: Map<string, { errors: number; nodes: number }>;
  key: { id: number; fingerprint: string } | undefined;
  /** Only while it is under way. */
  move: Move | undefined;
  problem: string | undefined;
}

function ipsecLines(gathered: Gathered): string[] {
  const { answers } = gathered;
  const ipsec = ipsecOf(gathered);
  const inUse = [...ipsec.keysInUse].map(([keys, nodes]) => `${keys} on ${nodes}/${answers.length}`);
  const reasons = [...ipsec.byReason].map(
    ([name, { errors, nodes }]) => `\t${name}: ${errors} on ${nodes}/${answers.length} nodes`,
  );
  return [
    `IPsec keys in use: ${inUse.join(', ')}`,
    `IPsec highest Seq. Number: ${ipsec.highest} across all nodes`,
    `IPsec expected key count: ${ipsec.expected}`,
    `IPsec key rotation in progress: ${ipsec.rotating}`,
    ...(ipsec.move ? [`\t${moveText(ipsec.move)}`] : []),
    `IPsec errors: ${ipsec.errors} across all nodes`,
    ...reasons,
    ...(ipsec.key ? [`IPsec key: ${ipsec.key.id}, fingerprint ${ipsec.key.fingerprint}`] : []),
    ...(ipsec.problem ? [`IPsec key problem: ${ipsec.problem}`] : []),
  ];
}

function ipsecOf({ answers, words, keys, namespace, agents }: Gathered): Ipsec {
  const told = answers.flatMap(({ answer }) => (answer?.ipsec ? [answer.ipsec] : []));
  const keysInUse = new Map<number, number>();
  const byReason = new Map<string, { errors: number; nodes: number }>();
  for (const each of told) {
    const count = each['keys-in-use'] ?? 0;
    keysInUse.set(count, (keysInUse.get(count) ?? 0) + 1);
    for (const [name, errors] of Object.entries(each['xfrm-errors'] ?? {})) {
      const before = byReason.get(name) ?? { errors: 0, nodes: 0 };
      byReason.set(name, { errors: before.errors + errors, nodes: before.nodes + 1 });
    }
  }
  const secret = keys === 'forbidden' ? undefined : keys.secret;
  const good = secret && 'epoch' in secret ? secret : undefined;
  const move = good && moveTo(good.epoch, words);
  // A key to each other node, and one from it.
  const expected = 2 * (agents - 1);
  return {
    keysInUse,
    highest: highest(told.map(each => each['max-seq-number'] ?? 'N/A')),
    errors: told.reduce((sum, each) => sum + (each['error-count'] ?? 0), 0),
    rotating: move ? !move.settled : [...keysInUse.keys()].some(count => count !== expected),
    expected,
    byReason,
    key: good && { id: good.current.id, fingerprint: good.current.fingerprint },
    move: move?.settled ? undefined : move,
    problem: problemOf(keys, namespace),
  };
}

function problemOf(keys: KeysSight, namespace: string): string | undefined {
  if (keys === 'forbidden') return undefined;
  const { name, secret } = keys;
  if (!secret) return missingKey(namespace, name);
  return 'problem' in secret ? badKey(namespace, name, secret.problem) : undefined;
}

function highest(numbers: string[]): string {
  const value = (text: string) => (/^0x[0-9a-f]{1,16}\//.test(text) ? BigInt(text.split('/')[0] ?? 0) : -1n);
  return numbers.reduce((most, text) => (value(text) > value(most) ? text : most), 'N/A');
}

function number(answers: NodeAnswer[], mode: string): number {
  return answers.filter(({ answer }) => answer?.mode === mode).length;
}
