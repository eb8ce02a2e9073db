/** What a pod may learn about itself (`fieldRef`, `resourceFieldRef`). */
import type { Container, Pod } from '../../kube/core.ts';

export interface PodFacts {
  nodeName: string;
  hostIps: string[];
  podIps: string[];
  /** Of the node: cores and bytes, the default limits. */
  cpus: number;
  memoryBytes: number;
}

/** The field's text. Throws a sentence for a field that a pod cannot ask for. */
export function fieldValue(pod: Pod, path: string, facts: PodFacts): string {
  const { metadata, spec } = pod;
  const subscript = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (subscript) return metadata[subscript[1] as 'labels' | 'annotations']?.[subscript[2]!] ?? '';
  const values: Record<string, () => string> = {
    'metadata.name': () => metadata.name,
    'metadata.namespace': () => metadata.namespace ?? '',
    'metadata.uid': () => metadata.uid ?? '',
    'metadata.labels': () => pairs(metadata.labels),
    'metadata.annotations': () => pairs(metadata.annotations),
    'spec.nodeName': () => spec.nodeName ?? facts.nodeName,
    'spec.serviceAccountName': () => spec.serviceAccountName ?? 'default',
    'status.hostIP': () => facts.hostIps[0] ?? '',
    'status.hostIPs': () => facts.hostIps.join(','),
    'status.podIP': () => facts.podIps[0] ?? '',
    'status.podIPs': () => facts.podIps.join(','),
  };
  const value = values[path];
  if (!value) throw new Error(`unsupported fieldPath: ${path}`);
  return value();
}

/** Divided and rounded up, as the API reference says. Throws a sentence for an unknown resource. */
export function resourceValue(
  resource: string,
  divisor: string | undefined,
  container: Container,
  facts: PodFacts,
): string {
  const [kind, name, ...rest] = resource.split('.');
  if (rest.length > 0 || !(kind === 'limits' || kind === 'requests') || name === undefined) {
    throw new Error(`unsupported resource: ${resource}`);
  }
  const fallback =
    kind === 'requests'
      ? '0'
      : name === 'cpu'
        ? String(facts.cpus)
        : name === 'memory'
          ? String(facts.memoryBytes)
          : '0';
  const given = container.resources?.[kind]?.[name] ?? container.resources?.limits?.[name] ?? fallback;
  const unit = quantity(divisor ?? '1') || 1;
  return String(Math.ceil(quantity(given) / unit - 1e-9));
}

/** A Kubernetes quantity as a number: `100m`, `1.5`, `64Mi`. Throws a sentence when it is none. */
export function quantity(text: string): number {
  const match = /^([+-]?[0-9.]+(?:[eE][+-]?\d+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|n|u)?$/.exec(text);
  const number = Number(match?.[1]);
  if (!match || Number.isNaN(number)) throw new Error(`'${text}' is no quantity`);
  return number * (factors[match[2] ?? ''] ?? 1);
}

const factors: Record<string, number> = {
  ...{ n: 1e-9, u: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 },
};

/** One `key="value"` a line, sorted, as files of the downward API are. */
function pairs(map: Record<string, string> = {}): string {
  return Object.entries(map)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n');
}
