/** Services: defaults, cluster addresses and node ports. */
import { isIP, isIPv4 } from 'node:net';
import { type JsonObject, type KubeObject, objects, preset, record, strings, text } from '../object.ts';
import { typeNamed } from '../schema/schema.ts';
import { type FieldError, invalid, invalidValue, requiredValue, unsupportedValue } from '../status.ts';
import { AGE, column, labelText, NAME, NONE, wide } from './columns.ts';
import { isPort } from './podspec.ts';
import { type Resource, resource, type Strategy, type WriteContext } from './resource.ts';

const NODE_PORTS = { first: 30_000, last: 32_767 };
const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];

const strategy: Strategy = {
  names: 'label1035',
  defaults(service) {
    const spec = record(service, 'spec');
    service.spec = spec;
    preset(spec, 'sessionAffinity', 'None');
    preset(spec, 'type', 'ClusterIP');
    if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
    else preset(spec, 'sessionAffinityConfig', { clientIP: { timeoutSeconds: 10_800 } });
    for (const port of objects(spec, 'ports')) {
      preset(port, 'protocol', 'TCP');
      if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '')
        port.targetPort = port.port;
    }
    if (exposed(spec)) preset(spec, 'externalTrafficPolicy', 'Cluster');
    if (spec.type !== 'ExternalName') preset(spec, 'internalTrafficPolicy', 'Cluster');
    if (spec.type === 'LoadBalancer') preset(spec, 'allocateLoadBalancerNodePorts', true);
  },
  create(service, context) {
    service.status = { loadBalancer: {} };
    allocate(service, undefined, context);
  },
  update(service, old, context) {
    const spec = record(service, 'spec');
    const before = record(old, 'spec');
    if (spec.type !== 'ExternalName' && before.type !== 'ExternalName') {
      for (const key of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy'])
        if (spec[key] === undefined && before[key] !== undefined) spec[key] = before[key];
      for (const port of objects(spec, 'ports')) {
        if (port.nodePort) continue;
        const same = objects(before, 'ports').find(
          item => item.port === port.port && item.protocol === port.protocol,
        );
        if (same?.nodePort && exposed(spec)) port.nodePort = same.nodePort;
      }
    }
    allocate(service, old, context);
  },
  validate,
  fields: service => ({
    'spec.clusterIP': text(service, 'spec', 'clusterIP'),
    'spec.type': text(service, 'spec', 'type'),
  }),
};

export const services: Resource = resource({
  version: 'v1',
  kind: 'Service',
  plural: 'services',
  schema: typeNamed('Service'),
  status: true,
  shortNames: ['svc'],
  categories: ['all'],
  strategy,
  columns: [
    NAME,
    column('Type', service => text(service, 'spec', 'type')),
    column('Cluster-IP', service => text(service, 'spec', 'clusterIP') || NONE),
    column('External-IP', externalAddress),
    column('Port(s)', portText),
    AGE,
    wide('Selector', service => labelText(record(service, 'spec', 'selector'))),
  ],
});

function exposed(spec: JsonObject): boolean {
  return spec.type === 'NodePort' || spec.type === 'LoadBalancer';
}

function allocate(service: KubeObject, old: KubeObject | undefined, context: WriteContext): void {
  const { store, serviceCidrs, random } = context;
  const spec = record(service, 'spec');
  if (spec.type === 'ExternalName') {
    for (const key of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) delete spec[key];
    return;
  }
  const others = store
    .list('services')
    .filter(item => item.namespace !== service.metadata.namespace || item.name !== service.metadata.name)
    .map(item => item.object);
  addresses(service, spec, others, serviceCidrs, random);
  if (exposed(spec) && spec.allocateLoadBalancerNodePorts !== false) nodePorts(service, spec, others, random);
  else if (!exposed(spec) && old) for (const port of objects(spec, 'ports')) delete port.nodePort;
}

function addresses(
  service: KubeObject,
  spec: JsonObject,
  others: KubeObject[],
  cidrs: readonly string[],
  random: () => number,
): void {
  const available: string[] = cidrs.map(cidr => (cidr.includes(':') ? 'IPv6' : 'IPv4'));
  const asked = text(spec, 'clusterIP') || strings(spec, 'clusterIPs')[0] || '';
  preset(spec, 'ipFamilyPolicy', 'SingleStack');
  const dual = spec.ipFamilyPolicy !== 'SingleStack';
  const given = strings(spec, 'ipFamilies');
  const first =
    given[0] ?? (isIP(asked) === 6 ? 'IPv6' : isIP(asked) === 4 ? 'IPv4' : (available[0] as string));
  const families = dual
    ? [...new Set([first, ...given, ...available])].filter(item => available.includes(item))
    : [first];
  spec.ipFamilies = families;
  if (asked === 'None') {
    spec.clusterIP = 'None';
    spec.clusterIPs = ['None'];
    return;
  }
  const taken = new Set(
    others.flatMap(other => [...strings(other, 'spec', 'clusterIPs'), text(other, 'spec', 'clusterIP')]),
  );
  const before = strings(spec, 'clusterIPs');
  const chosen = families.map((family, index) => {
    const wanted = index === 0 ? asked : (before[index] ?? '');
    const cidr = cidrs[available.indexOf(family)];
    if (!cidr)
      throw refused(service, [invalidValue('spec.ipFamilies[0]', family, 'not configured on this cluster')]);
    if (!wanted) return free(cidr, taken, service, random);
    if (!within(cidr, wanted))
      throw refused(service, [
        invalidValue(
          'spec.clusterIPs',
          [wanted],
          `failed to allocate IP ${wanted}: the provided IP (${wanted}) is not in the valid range. The range of valid IPs is ${cidr}`,
        ),
      ]);
    if (taken.has(wanted))
      throw refused(service, [
        invalidValue(
          'spec.clusterIPs',
          [wanted],
          `failed to allocate IP ${wanted}: provided IP is already allocated`,
        ),
      ]);
    return wanted;
  });
  spec.clusterIP = chosen[0];
  spec.clusterIPs = chosen;
}

function refused(service: KubeObject, errors: FieldError[]) {
  return invalid('Service', '', service.metadata.name, errors);
}

function bits(address: string): bigint {
  if (isIPv4(address)) return address.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
  const [head = '', tail] = address.split('::');
  const words = (part: string) => (part ? part.split(':') : []);
  const before = words(head);
  const after = tail === undefined ? [] : words(tail);
  const zeros = tail === undefined ? [] : Array(8 - before.length - after.length).fill('0');
  return [...before, ...zeros, ...after].reduce((sum, word) => (sum << 16n) | BigInt(`0x${word}`), 0n);
}

function range(cidr: string): { base: bigint; size: bigint; v4: boolean } {
  const [address = '', length = ''] = cidr.split('/');
  const v4 = isIPv4(address);
  const size = 1n << BigInt((v4 ? 32 : 128) - Number(length));
  return { base: (bits(address) / size) * size, size, v4 };
}

function within(cidr: string, address: string): boolean {
  const { base, size, v4 } = range(cidr);
  return isIP(address) !== 0 && isIPv4(address) === v4 && bits(address) > base && bits(address) < base + size;
}

function format(value: bigint, v4: boolean): string {
  if (v4) return [24n, 16n, 8n, 0n].map(shift => Number((value >> shift) & 255n)).join('.');
  const words = Array.from({ length: 8 }, (_, index) =>
    ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16),
  );
  return words
    .join(':')
    .replace(/\b(?:0(?::|$)){2,}/, ':')
    .replace(/^:(?!:)/, '::');
}

/** The first addresses are left for those that ask by name (the API server's and the DNS's among them). */
const RESERVED = 256n;

function free(cidr: string, taken: ReadonlySet<string>, service: KubeObject, random: () => number): string {
  const { base, size, v4 } = range(cidr);
  const reserved = size > 2n * RESERVED ? RESERVED : 1n;
  const limit = size > 1_000_000n ? 1_000_000n : size;
  const room = limit - 1n - reserved;
  const start = BigInt(Math.floor(random() * Number(room)));
  for (let step = 0n; step < room; step++) {
    const address = format(base + reserved + ((start + step) % room), v4);
    if (!taken.has(address)) return address;
  }
  throw refused(service, [
    invalidValue('spec.clusterIPs', [], 'failed to allocate a serviceIP: range is full'),
  ]);
}

function nodePorts(service: KubeObject, spec: JsonObject, others: KubeObject[], random: () => number): void {
  const taken = new Set(
    others.flatMap(other => objects(other, 'spec', 'ports').map(port => `${port.nodePort}/${port.protocol}`)),
  );
  const mine = new Set<string>();
  for (const [index, port] of objects(spec, 'ports').entries()) {
    if (port.nodePort) {
      const value = port.nodePort as number;
      const field = `spec.ports[${index}].nodePort`;
      if (value < NODE_PORTS.first || value > NODE_PORTS.last)
        throw refused(service, [
          invalidValue(
            field,
            value,
            `provided port is not in the valid range. The range of valid ports is ${NODE_PORTS.first}-${NODE_PORTS.last}`,
          ),
        ]);
      if (taken.has(`${value}/${port.protocol}`) || mine.has(`${value}/${port.protocol}`))
        throw refused(service, [invalidValue(field, value, 'provided port is already allocated')]);
      mine.add(`${value}/${port.protocol}`);
      continue;
    }
    const room = NODE_PORTS.last - NODE_PORTS.first + 1;
    const start = Math.floor(random() * room);
    for (let step = 0; step < room; step++) {
      const candidate = NODE_PORTS.first + ((start + step) % room);
      const key = `${candidate}/${port.protocol}`;
      if (taken.has(key) || mine.has(key)) continue;
      port.nodePort = candidate;
      mine.add(key);
      break;
    }
  }
}

function validate(service: KubeObject, old: KubeObject | undefined): FieldError[] {
  const errors: FieldError[] = [];
  const spec = record(service, 'spec');
  if (!TYPES.includes(text(spec, 'type'))) errors.push(unsupportedValue('spec.type', spec.type, TYPES));
  if (!['None', 'ClientIP'].includes(text(spec, 'sessionAffinity')))
    errors.push(unsupportedValue('spec.sessionAffinity', spec.sessionAffinity, ['ClientIP', 'None']));
  const ports = objects(spec, 'ports');
  if (!ports.length && spec.clusterIP !== 'None' && spec.type !== 'ExternalName')
    errors.push(requiredValue('spec.ports'));
  if (spec.type === 'ExternalName' && !text(spec, 'externalName'))
    errors.push(requiredValue('spec.externalName'));
  const names = new Set<string>();
  ports.forEach((port, index) => {
    const field = `spec.ports[${index}]`;
    const name = text(port, 'name');
    if (!name && ports.length > 1) errors.push(requiredValue(`${field}.name`));
    if (name && names.has(name))
      errors.push({
        field: `${field}.name`,
        reason: 'FieldValueDuplicate',
        message: `Duplicate value: "${name}"`,
      });
    names.add(name);
    if (!isPort(port.port))
      errors.push(invalidValue(`${field}.port`, port.port ?? 0, 'must be between 1 and 65535, inclusive'));
    if (typeof port.targetPort === 'number' && !isPort(port.targetPort))
      errors.push(
        invalidValue(`${field}.targetPort`, port.targetPort, 'must be between 1 and 65535, inclusive'),
      );
    if (!['TCP', 'UDP', 'SCTP'].includes(text(port, 'protocol')))
      errors.push(unsupportedValue(`${field}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']));
  });
  const before = old ? text(old, 'spec', 'clusterIP') : '';
  const kept = old && text(old, 'spec', 'type') !== 'ExternalName' && spec.type !== 'ExternalName';
  if (kept && before && before !== spec.clusterIP)
    errors.push(invalidValue('spec.clusterIPs[0]', [spec.clusterIP ?? ''], 'may not change once set'));
  return errors;
}

function externalAddress(service: KubeObject): string {
  const spec = record(service, 'spec');
  const external = strings(spec, 'externalIPs');
  if (spec.type === 'ExternalName') return text(spec, 'externalName');
  if (spec.type !== 'LoadBalancer') return external.length ? external.join(',') : NONE;
  const ingress = objects(service, 'status', 'loadBalancer', 'ingress').map(
    item => text(item, 'ip') || text(item, 'hostname'),
  );
  const all = [...ingress, ...external];
  return all.length ? all.join(',') : '<pending>';
}

function portText(service: KubeObject): string {
  const ports = objects(service, 'spec', 'ports').map(port =>
    port.nodePort ? `${port.port}:${port.nodePort}/${port.protocol}` : `${port.port}/${port.protocol}`,
  );
  return ports.length ? ports.join(',') : NONE;
}

/** The address of the kubernetes Service: the first of the range. */
export function firstAddress(cidr: string): string {
  const { base, v4 } = range(cidr);
  return format(base + 1n, v4);
}
