/** The values an installation is made of: the defaults of deploy/values.yaml, what the person gave, checked by the schema. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { Failure, usage } from '../failure.ts';
import { projectFile } from '../root.ts';
import { checkValues, isNamed } from './schema.ts';
import {
  type Assignment,
  assign,
  isValues,
  parseSet,
  parseSetFile,
  type Value,
  type Values,
} from './strvals.ts';

/** What the flags say, in the order they were given. */
export interface ValueFlags {
  values?: string[] | undefined;
  set?: string[] | undefined;
  setString?: string[] | undefined;
  setFile?: string[] | undefined;
}

/** Everything in deploy/values.yaml, as it is used by what renders. */
export interface Settings {
  cluster: { name: string };
  image: Image;
  encryption: {
    enabled: boolean;
    type: 'wireguard' | 'ipsec';
    nodeEncryption: boolean;
    nodeEncryptionOptOutLabels: string;
    wireguard: { persistentKeepalive: string };
    ipsec: {
      secretName: string;
      keyFile: string;
      mountPath: string;
      interface: string;
      keyWatcher: boolean;
      keyRotationDuration: string;
      keyRotationInterval: string;
      keyPacketLimit: number;
      encapsulation: 'vxlan';
    };
  };
  engine: { enabled: boolean; logLevel: string; resources: Resources };
  ipam: {
    mode: '' | 'kubernetes' | 'cluster-pool';
    operator: {
      clusterPoolIPv4PodCIDRList: string[];
      clusterPoolIPv4MaskSize: number;
      clusterPoolIPv6PodCIDRList: string[];
      clusterPoolIPv6MaskSize: number;
    };
  };
  clusterPodCIDRs: string[];
  ipv4: { enabled: boolean };
  ipv6: { enabled: boolean };
  enableIPv4Masquerade: boolean;
  enableIPv6Masquerade: boolean;
  routingMode: string;
  tunnelProtocol: string;
  tunnelPort: number;
  MTU: number;
  cni: { confPath: string; binPath: string };
  healthPort: number;
  prometheus: { enabled: boolean; port: number; address: string };
  debug: { enabled: boolean };
  resources: Resources;
  updateStrategy: {
    type: 'RollingUpdate' | 'OnDelete';
    rollingUpdate: { maxUnavailable: number | string };
  };
  securityContext: { privileged: boolean; capabilities: { ciliumAgent: string[] } };
  nodeSelector: Record<string, string>;
  podAnnotations: Record<string, string>;
  operator: { replicas: number; image: Image; resources: Resources };
  extraConfig: Record<string, string | number | boolean>;
}

export interface Image {
  repository: string;
  tag: string;
  pullPolicy: 'Always' | 'IfNotPresent' | 'Never';
}

export interface Resources {
  requests?: Record<string, string>;
  limits?: Record<string, string>;
}

/** Only what the flags say: files first, then --set, --set-string, --set-file, as Helm has it. */
export function valuesOfFlags(flags: ValueFlags): Values {
  let values: Values = {};
  for (const file of flags.values ?? []) values = merge(values, readValuesFile(file));
  const assignments: Assignment[] = [
    ...(flags.set ?? []).flatMap(text => parseSet(text)),
    ...(flags.setString ?? []).flatMap(text => parseSet(text, '--set-string')),
    ...(flags.setFile ?? []).map(text => {
      const { path, file } = parseSetFile(text);
      return { path, value: readText(file, '--set-file') };
    }),
  ];
  for (const assignment of assignments) assign(values, assignment);
  return values;
}

/** The defaults with `values` over them, if the schema allows that; throws a Failure that names every mistake. */
export function settingsOf(values: Values): Settings {
  checkValues(withoutNulls(values));
  const defaults = parse(readFileSync(projectFile('deploy/values.yaml'), 'utf8')) as Values;
  const whole = withoutNulls(merge(defaults, withDefaultsForNulls(values)));
  checkValues(whole);
  return whole as unknown as Settings;
}

/** `over` over `under`: objects are merged, everything else is replaced. Neither is changed. */
export function merge(under: Values, over: Values): Values {
  const merged: Values = { ...under };
  for (const [name, value] of Object.entries(over)) {
    const old = Object.hasOwn(under, name) ? under[name] : undefined;
    merged[name] = isValues(old) && isValues(value) ? merge(old, value) : value;
  }
  return merged;
}

/** Null gives a value of the schema its default back, which every one needs; an entry of a map, such as a label, it takes away. */
function withDefaultsForNulls(values: Values, path: string[] = []): Values {
  const kept = Object.entries(values).filter(([name, value]) => value !== null || !isNamed([...path, name]));
  return Object.fromEntries(
    kept.map(([name, value]) => [
      name,
      isValues(value) ? withDefaultsForNulls(value, [...path, name]) : value,
    ]),
  );
}

function withoutNulls(values: Values): Values {
  const kept = Object.entries(values).filter(([, value]) => value !== null);
  return Object.fromEntries(
    kept.map(([name, value]) => [name, isValues(value) ? withoutNulls(value) : value]),
  );
}

function readValuesFile(file: string): Values {
  const text = readText(file, '--values');
  let values: Value | undefined;
  try {
    values = parse(text) as Value;
  } catch (error) {
    const where = error instanceof Error ? error.message.split('\n')[0]?.replace(/:$/, '') : String(error);
    throw new Failure(`--values ${file} is not YAML: ${where}`);
  }
  if (values === null || values === undefined) return {};
  if (!isValues(values))
    throw new Failure(`--values ${file} holds no values: write NAME: VALUE on each line`);
  return values;
}

function readText(file: string, flag: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const why =
      code === 'ENOENT' ? 'it does not exist' : code === 'EISDIR' ? 'it is a folder' : String(error);
    throw usage(`${flag} ${file} cannot be read: ${why}`);
  }
}
