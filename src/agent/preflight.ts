/** What the node must be able to do before the agent changes anything on it. */
import { createSocket } from 'node:dgram';
import type { Abilities } from '../linux/probe.ts';
import type { AgentConfig } from '../model/config.ts';
import { WIREGUARD_PORT } from '../model/names.ts';

export type WireGuardKind = 'kernel' | 'engine';

export interface PreflightInput {
  config: AgentConfig;
  abilities: Abilities;
  /** Whether cilium_wg0 exists already: then the port is taken by whoever seals for it. */
  deviceThere: boolean;
  /** Whether the UDP port can be bound; asked only when needed. */
  portFree: () => Promise<boolean>;
}

/** One sentence with the remedy for each thing that is missing; an empty list: go. */
export async function preflight({
  config,
  abilities,
  deviceThere,
  portFree,
}: PreflightInput): Promise<string[]> {
  const problems: string[] = [];
  const need = (ability: { ok: boolean; reason?: string }, otherwise: string) => {
    if (!ability.ok) problems.push(ability.reason ?? otherwise);
  };
  need(
    abilities.netAdmin,
    'CAP_NET_ADMIN is missing: add NET_ADMIN to securityContext.capabilities of the agent',
  );
  need(
    abilities.sysAdmin,
    'CAP_SYS_ADMIN is missing: add SYS_ADMIN to securityContext.capabilities of the agent',
  );
  need(
    abilities.nft,
    'nftables does not work: install the program nft in the image, and nf_tables in the kernel',
  );
  if (config.ipv6)
    need(abilities.ipv6, 'the kernel has IPv6 switched off: set enable-ipv6 to "false", or enable it');
  if (config.encryption !== 'wireguard') {
    need(abilities.vxlan, 'the kernel has no vxlan: load the module vxlan, or encrypt with WireGuard');
    if (config.encryption === 'ipsec')
      need(abilities.tun, 'there is no /dev/net/tun for the ESP engine: load the module tun on this node');
    return problems;
  }
  if (!abilities.wireguard.ok && !abilities.tun.ok) {
    problems.push(
      abilities.tun.reason ??
        'neither the kernel nor /dev/net/tun can do WireGuard: load the module wireguard or tun on this node',
    );
  }
  if (!deviceThere && !(await portFree())) {
    problems.push(
      `UDP port ${WIREGUARD_PORT} is taken by another program: find it with "ss -ulpn sport = :${WIREGUARD_PORT}" and stop it`,
    );
  }
  return problems;
}

/** Whether a UDP port can be bound, on IPv4 and where there is IPv6, on that too. */
export async function udpPortFree(port: number): Promise<boolean> {
  return (await bindable('udp4', port)) && (await bindable('udp6', port));
}

function bindable(type: 'udp4' | 'udp6', port: number): Promise<boolean> {
  const socket = createSocket(type === 'udp6' ? { type, ipv6Only: true } : { type });
  return new Promise(resolve => {
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close();
      resolve(error.code !== 'EADDRINUSE');
    });
    socket.bind(port, () => socket.close(() => resolve(true)));
  });
}
