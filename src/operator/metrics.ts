/** What the operator counts, in the text format of Prometheus. */

export class Metrics {
  leader = false;
  readonly deleted = { CiliumNode: 0, CiliumEndpoint: 0 };
  restartedPods = 0;
  podCIDRsAllocated = 0;
  podCIDRsExhausted = 0;
  errors = 0;
  readonly keyRotations = { age: 0, use: 0 };
  /** Absent unless the cluster encrypts with IPsec. */
  key: { usable: boolean; rotating: boolean; id?: number; ageSeconds?: number } | undefined;

  text(version: string): string {
    return [
      family('cilium_operator_build_info', 'gauge', 'Version of the operator', [
        [`{version="${version}"}`, 1],
      ]),
      family('cilium_operator_leader', 'gauge', 'Whether this operator is the one that works', [
        ['', this.leader ? 1 : 0],
      ]),
      family(
        'cilium_operator_garbage_collected_total',
        'counter',
        'Objects deleted because what they stood for is gone',
        Object.entries(this.deleted).map(([kind, number]) => [`{kind="${kind}"}`, number]),
      ),
      family(
        'cilium_operator_unmanaged_pods_restarted_total',
        'counter',
        'DNS pods restarted for want of a network',
        [['', this.restartedPods]],
      ),
      family('cilium_operator_pod_cidrs_allocated_total', 'counter', 'Pod CIDRs handed out', [
        ['', this.podCIDRsAllocated],
      ]),
      family('cilium_operator_pod_cidrs_exhausted_total', 'counter', 'Nodes for which no pod CIDR was left', [
        ['', this.podCIDRsExhausted],
      ]),
      family('cilium_operator_errors_total', 'counter', 'Requests to the API server that failed', [
        ['', this.errors],
      ]),
      ...this.#keyFamilies(),
      family('process_resident_memory_bytes', 'gauge', 'Resident memory', [['', process.memoryUsage.rss()]]),
    ].join('');
  }

  #keyFamilies(): string[] {
    const { key } = this;
    if (!key) return [];
    const families = [
      family(
        'cilium_operator_key_rotations_total',
        'counter',
        'Keys for IPsec that this operator made, because the one before was old or worn',
        Object.entries(this.keyRotations).map(([cause, number]) => [`{cause="${cause}"}`, number]),
      ),
      family('cilium_operator_key_usable', 'gauge', 'Whether the Secret has a key that can be used', [
        ['', key.usable ? 1 : 0],
      ]),
      family('cilium_operator_key_rotation_in_progress', 'gauge', 'Whether nodes still move to the key', [
        ['', key.rotating ? 1 : 0],
      ]),
    ];
    if (key.id !== undefined && key.ageSeconds !== undefined)
      families.push(
        family('cilium_operator_key_age_seconds', 'gauge', 'Age of the key', [
          [`{key_id="${key.id}"}`, key.ageSeconds],
        ]),
      );
    return families;
  }
}

function family(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  samples: [labels: string, value: number][],
): string {
  const lines = samples.map(([labels, value]) => `${name}${labels} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}
