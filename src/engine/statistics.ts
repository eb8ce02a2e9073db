/** `get=statistics`, which the engine answers beyond the configuration protocol: how many packets were dropped, and why. */
import { printErrno } from '../proto/wireguard/uapi.ts';
import type { Tunnel } from './tunnel.ts';

/** Lines `drop_REASON=N` for data packets and `handshake_drop_REASON=N` for handshake messages, then `errno=0`. */
export function printStatistics(tunnel: Tunnel): string {
  const lines = [
    ...Object.entries(tunnel.drops()).map(([reason, count]) => `drop_${reason}=${count}`),
    ...Object.entries(tunnel.device.drops).map(([reason, count]) => `handshake_drop_${reason}=${count}`),
  ];
  return `${lines.join('\n')}\n${printErrno()}`;
}
