/** What a runtime asks: the environment and the network configuration, checked (CNI SPEC.md, sections 2 and 4). */
import { parseCidr } from '../proto/ip/cidr.ts';
import { BAD_CONFIG, BAD_ENVIRONMENT, CniError, INCOMPATIBLE_VERSION, NOT_DECODED } from './error.ts';
import { type CniResult, parseResult } from './result.ts';
import { atLeast, CNI_VERSIONS, type CniVersion, isCniVersion } from './version.ts';

export interface Attachment {
  containerId: string;
  ifname: string;
}

interface Common {
  version: CniVersion;
}
export interface AddRequest extends Common, Attachment {
  command: 'ADD';
  netns: string;
  pod: PodIdentity;
  prevResult?: CniResult;
  /** Asked for by the capability `ips`, without prefix length. */
  wantedIps: string[];
  /** Asked for by the capability `mac`. */
  wantedMac?: string;
}
export interface CheckRequest extends Common, Attachment {
  command: 'CHECK';
  netns: string;
  prevResult: CniResult;
}
export interface DelRequest extends Common, Attachment {
  command: 'DEL';
}
export interface GcRequest extends Common {
  command: 'GC';
  validAttachments: Attachment[];
}
export interface PlainRequest extends Common {
  command: 'STATUS' | 'VERSION';
}
export type CniRequest = AddRequest | CheckRequest | DelRequest | GcRequest | PlainRequest;

/** Both empty when the runtime told none. */
export interface PodIdentity {
  namespace: string;
  name: string;
}

type Environment = ReadonlyMap<string, string>;
type Json = Record<string, unknown>;

/** Throws CniError. */
export function parseRequest(environment: Environment, stdin: string): CniRequest {
  const command = environment.get('CNI_COMMAND') ?? '';
  if (command === 'VERSION') return { command, version: echoVersion(stdin) };
  const since = Object.hasOwn(SINCE, command) ? SINCE[command] : undefined;
  if (!since) {
    const known = [...Object.keys(SINCE), 'VERSION'].join(', ');
    throw new CniError(BAD_ENVIRONMENT, `CNI_COMMAND ${quote(command)} is unknown: write one of ${known}`);
  }
  const config = parseConfig(stdin);
  const version = versionOf(config);
  if (!atLeast(version, since)) {
    throw new CniError(
      INCOMPATIBLE_VERSION,
      `${command} exists since CNI ${since}: set "cniVersion" to it or a later one`,
      `the configuration says ${version}`,
    );
  }
  checkName(config);
  switch (command) {
    case 'ADD':
      return addRequest(version, environment, config);
    case 'CHECK':
      return checkRequest(version, environment, config);
    case 'DEL':
      return { command, version, ...attachmentOf(environment) };
    case 'GC':
      return { command, version, validAttachments: validAttachments(config) };
    default:
      return { command: 'STATUS', version };
  }
}

/** The input's `cniVersion` if we speak it, for errors and VERSION; the newest otherwise. */
export function echoVersion(stdin: string): CniVersion {
  try {
    const { cniVersion } = JSON.parse(stdin) as { cniVersion?: unknown };
    if (isCniVersion(cniVersion)) return cniVersion;
  } catch {
    // what is wrong with it, parseRequest tells
  }
  return '1.1.0';
}

const SINCE: Record<string, CniVersion | undefined> = {
  ADD: '0.1.0',
  DEL: '0.1.0',
  CHECK: '0.4.0',
  GC: '1.1.0',
  STATUS: '1.1.0',
};
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const NO_MAC = '00:00:00:00:00:00';
const MAX_IFNAME = 15;

function addRequest(version: CniVersion, environment: Environment, config: Json): AddRequest {
  const prevResult = previousResult(version, config);
  const capabilities = objectField(config, 'runtimeConfig') ?? {};
  const wantedMac = macOf(capabilities);
  return {
    command: 'ADD',
    version,
    ...attachmentOf(environment),
    netns: netnsOf(environment),
    pod: podOf(environment.get('CNI_ARGS') ?? ''),
    wantedIps: ipsOf(capabilities),
    ...(prevResult && { prevResult }),
    ...(wantedMac && { wantedMac }),
  };
}

function checkRequest(version: CniVersion, environment: Environment, config: Json): CheckRequest {
  const prevResult = previousResult(version, config);
  if (!prevResult) {
    throw new CniError(
      BAD_CONFIG,
      'CHECK needs the result of ADD: put it into the configuration as "prevResult"',
    );
  }
  return {
    command: 'CHECK',
    version,
    ...attachmentOf(environment),
    netns: netnsOf(environment),
    prevResult,
  };
}

function parseConfig(stdin: string): Json {
  let config: unknown;
  try {
    config = JSON.parse(stdin);
  } catch (error) {
    const said = (error as Error).message;
    throw new CniError(NOT_DECODED, 'the network configuration on stdin is not JSON', said);
  }
  if (!isObject(config))
    throw new CniError(NOT_DECODED, 'the network configuration on stdin is not an object');
  return config;
}

function versionOf(config: Json): CniVersion {
  const version = config.cniVersion ?? '0.1.0'; // before it was a field
  if (isCniVersion(version)) return version;
  const spoken = CNI_VERSIONS.join(', ');
  throw new CniError(INCOMPATIBLE_VERSION, `"cniVersion" ${quote(version)} is not one of ${spoken}`);
}

function checkName(config: Json): void {
  const { name } = config;
  if (typeof name === 'string' && NAME.test(name)) return;
  throw new CniError(
    BAD_CONFIG,
    `the network's "name" ${quote(name)} is not one: letters, digits, _ . and - make it`,
  );
}

function attachmentOf(environment: Environment): Attachment {
  const containerId = environment.get('CNI_CONTAINERID') ?? '';
  const ifname = environment.get('CNI_IFNAME') ?? '';
  if (!isContainerId(containerId)) {
    const rule = 'it begins with a letter or digit; letters, digits, _ . and - follow';
    throw new CniError(BAD_ENVIRONMENT, `CNI_CONTAINERID ${quote(containerId)} is not one: ${rule}`);
  }
  if (!isIfname(ifname)) {
    const rule = 'at most 15 characters, without spaces, / and :';
    throw new CniError(
      BAD_ENVIRONMENT,
      `CNI_IFNAME ${quote(ifname)} is not the name of an interface: ${rule}`,
    );
  }
  return { containerId, ifname };
}

function isContainerId(text: string): boolean {
  return NAME.test(text) && text.length <= 200;
}

function isIfname(text: string): boolean {
  const plain = text.length > 0 && Buffer.byteLength(text) <= MAX_IFNAME && !/[\s/:\0]/.test(text);
  return plain && text !== '.' && text !== '..';
}

function netnsOf(environment: Environment): string {
  const netns = environment.get('CNI_NETNS') ?? '';
  if (netns.startsWith('/')) return netns;
  throw new CniError(BAD_ENVIRONMENT, `CNI_NETNS ${quote(netns)} is not the path of a network namespace`);
}

/** `KEY=VALUE;KEY=VALUE`; keys other than the pod's are not ours. */
function podOf(args: string): PodIdentity {
  const values = new Map<string, string>();
  for (const pair of args.split(';').filter(Boolean)) {
    const equals = pair.indexOf('=');
    if (equals <= 0) {
      throw new CniError(BAD_ENVIRONMENT, `CNI_ARGS has ${quote(pair)}, which is not KEY=VALUE`);
    }
    values.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
  return { namespace: podField(values, 'K8S_POD_NAMESPACE'), name: podField(values, 'K8S_POD_NAME') };
}

function podField(values: Map<string, string>, key: string): string {
  const value = values.get(key) ?? '';
  if (/^[a-z0-9.-]{0,253}$/.test(value)) return value;
  throw new CniError(
    BAD_ENVIRONMENT,
    `CNI_ARGS ${key} ${quote(value)} is not the name of a Kubernetes object`,
  );
}

function previousResult(version: CniVersion, config: Json): CniResult | undefined {
  return atLeast(version, '0.3.0') && config.prevResult != null ? parseResult(config.prevResult) : undefined;
}

function ipsOf(capabilities: Json): string[] {
  const ips = capabilities.ips ?? [];
  const parsed = Array.isArray(ips)
    ? ips.map(ip => (typeof ip === 'string' ? parseCidr(ip) : undefined))
    : [];
  if (!Array.isArray(ips) || parsed.includes(undefined)) {
    throw new CniError(BAD_CONFIG, `"runtimeConfig.ips" ${quote(ips)} is not a list of IP addresses`);
  }
  return ips.map((ip: string) => ip.split('/')[0]!);
}

function macOf(capabilities: Json): string | undefined {
  const { mac } = capabilities;
  if (mac == null || mac === '') return undefined;
  const text = typeof mac === 'string' ? mac.toLowerCase() : '';
  const multicast = (Number.parseInt(text.slice(0, 2), 16) & 1) === 1;
  if (MAC.test(text) && !multicast && text !== NO_MAC) return text;
  throw new CniError(BAD_CONFIG, `"runtimeConfig.mac" ${quote(mac)} is not the MAC address of an interface`);
}

function validAttachments(config: Json): Attachment[] {
  const list = config['cni.dev/valid-attachments'];
  if (!Array.isArray(list)) {
    throw new CniError(BAD_CONFIG, 'GC needs the list "cni.dev/valid-attachments" in the configuration');
  }
  return list.map(item => {
    const { containerID, ifname } = isObject(item) ? item : {};
    if (typeof containerID === 'string' && typeof ifname === 'string')
      return { containerId: containerID, ifname };
    throw new CniError(
      BAD_CONFIG,
      `"cni.dev/valid-attachments" has ${quote(item)}, which is not {"containerID": …, "ifname": …}`,
    );
  });
}

function objectField(config: Json, field: string): Json | undefined {
  const value = config[field];
  if (value == null) return undefined;
  if (isObject(value)) return value;
  throw new CniError(BAD_CONFIG, `"${field}" in the configuration is not an object`);
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** For messages: at most 80 characters of it. */
function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? 'that is missing';
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
