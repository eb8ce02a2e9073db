/** The runtime's side of CNI 1.1 (containernetworking/cni SPEC.md): finds the configuration, runs the plugins. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './command.ts';

export interface NetworkConfig {
  name: string;
  cniVersion: string;
  plugins: PluginConfig[];
  /** The file it stands in. */
  file: string;
}

interface PluginConfig {
  type: string;
  capabilities?: Record<string, boolean>;
  [key: string]: unknown;
}

export interface Attachment {
  containerId: string;
  /** Path of the network namespace. */
  netns: string;
  podNamespace: string;
  podName: string;
  podUid: string;
  portMappings: { hostPort: number; containerPort: number; protocol: string; hostIP?: string }[];
}

export interface CniResult {
  cniVersion?: string;
  ips?: { address: string; gateway?: string }[];
  [key: string]: unknown;
}

export class CniError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const interfaceName = 'eth0';
const timeoutMs = 60_000;

/** The first valid one in the folder, by file name; undefined when there is none. */
export function readNetworkConfig(folder: string): NetworkConfig | undefined {
  let names: string[];
  try {
    names = readdirSync(folder).filter(name => /\.(conflist|conf|json)$/.test(name));
  } catch {
    return undefined;
  }
  for (const name of names.sort()) {
    const config = parseConfig(join(folder, name));
    if (config) return config;
  }
  return undefined;
}

const spoken = ['1.1.0', '1.0.0', '0.4.0', '0.3.1', '0.3.0', '0.2.0', '0.1.0'];

function parseConfig(file: string): NetworkConfig | undefined {
  try {
    const value = JSON.parse(readFileSync(file, 'utf8')) as Partial<NetworkConfig> &
      Partial<PluginConfig> & { cniVersions?: string[] };
    const offered = value.cniVersions ?? [];
    const plugins = value.plugins ?? (typeof value.type === 'string' ? [value as PluginConfig] : []);
    if (typeof value.name !== 'string' || plugins.length === 0) return undefined;
    if (!plugins.every(plugin => typeof plugin.type === 'string')) return undefined;
    const version = spoken.find(each => offered.includes(each)) ?? value.cniVersion ?? '0.1.0';
    return { name: value.name, cniVersion: version, plugins, file };
  } catch {
    return undefined;
  }
}

export class Cni {
  readonly #binaries: string;

  constructor(binaries: string) {
    this.#binaries = binaries;
  }

  /** Runs the chain. Throws CniError; the caller then runs `remove`. */
  async add(config: NetworkConfig, attachment: Attachment): Promise<CniResult> {
    let previous: CniResult | undefined;
    for (const plugin of config.plugins) {
      previous = await this.#call('ADD', config, plugin, attachment, previous);
    }
    return previous ?? {};
  }

  /** The chain backwards. Throws CniError when a plugin could not do it. */
  async remove(config: NetworkConfig, attachment: Attachment, result: CniResult | undefined): Promise<void> {
    for (const plugin of [...config.plugins].reverse()) {
      await this.#call('DEL', config, plugin, attachment, result);
    }
  }

  /** Tells the plugins which containers there are, so that they forget all others. Before 1.1 there is no such call. */
  async collectGarbage(config: NetworkConfig, containerIds: string[]): Promise<void> {
    if (config.cniVersion !== '1.1.0') return;
    const valid = containerIds.map(containerID => ({ containerID, ifname: interfaceName }));
    for (const plugin of config.plugins) {
      await this.#call('GC', config, { ...plugin, 'cni.dev/valid-attachments': valid });
    }
  }

  async #call(
    command: 'ADD' | 'DEL' | 'GC',
    config: NetworkConfig,
    plugin: PluginConfig,
    attachment?: Attachment,
    previous?: CniResult,
  ): Promise<CniResult> {
    const program = join(this.#binaries, plugin.type);
    const told = `plugin type="${plugin.type}"`;
    if (!/^[\w.-]+$/.test(plugin.type) || !existsSync(program)) {
      throw new CniError(
        0,
        `${told} failed (${command.toLowerCase()}): failed to find plugin "${plugin.type}" in path [${this.#binaries}]`,
      );
    }
    const { capabilities, ...rest } = plugin;
    const ports = attachment && capabilities?.['portMappings'] ? attachment.portMappings : [];
    const input = {
      ...rest,
      name: config.name,
      cniVersion: config.cniVersion,
      ...(ports.length > 0 && { runtimeConfig: { portMappings: ports } }),
      ...(previous && { prevResult: previous }),
    };
    const { code, stdout, stderr } = await runCommand(program, [], {
      input: JSON.stringify(input),
      timeoutMs,
      env: {
        PATH: process.env['PATH'] ?? '',
        CNI_COMMAND: command,
        CNI_PATH: this.#binaries,
        ...(attachment && environment(command, attachment)),
      },
    });
    if (code !== 0) {
      const problem = parseError(stdout);
      throw new CniError(
        problem.code,
        `${told} failed (${command.toLowerCase()}): ${problem.message || stderr.trim() || `exit code ${code}`}`,
      );
    }
    if (command !== 'ADD') return {};
    try {
      return JSON.parse(stdout) as CniResult;
    } catch {
      throw new CniError(6, `${told} failed (add): its answer is no JSON`);
    }
  }
}

function environment(command: string, attachment: Attachment): Record<string, string> {
  const { containerId, netns, podNamespace, podName, podUid } = attachment;
  return {
    CNI_CONTAINERID: containerId,
    CNI_NETNS: command === 'DEL' && !existsSync(netns) ? '' : netns,
    CNI_IFNAME: interfaceName,
    CNI_ARGS: [
      'IgnoreUnknown=1',
      `K8S_POD_NAMESPACE=${podNamespace}`,
      `K8S_POD_NAME=${podName}`,
      `K8S_POD_INFRA_CONTAINER_ID=${containerId}`,
      `K8S_POD_UID=${podUid}`,
    ].join(';'),
  };
}

/** The error object that a plugin prints on stdout. */
function parseError(stdout: string): { code: number; message: string } {
  try {
    const { code, msg, details } = JSON.parse(stdout) as { code?: number; msg?: string; details?: string };
    return { code: code ?? 0, message: [msg, details].filter(Boolean).join('; ') };
  } catch {
    return { code: 0, message: stdout.trim() };
  }
}

/** Addresses without prefix lengths, IPv4 first. */
export function resultAddresses(result: CniResult): string[] {
  const addresses = (result.ips ?? []).map(ip => ip.address.split('/')[0]!);
  return [...addresses.filter(ip => !ip.includes(':')), ...addresses.filter(ip => ip.includes(':'))];
}
