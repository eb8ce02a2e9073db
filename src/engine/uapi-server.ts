/** The cross-platform configuration protocol on /var/run/wireguard/NAME.sock. */
import { parseRequest, printErrno } from '../proto/wireguard/uapi.ts';
import { printStatus } from '../proto/wireguard/uapistatus.ts';
import { asUapiError, configure, statusOf } from './configure.ts';
import type { Log } from './log.ts';
import { type RequestServer, type RequestServerOptions, serveRequests } from './request-server.ts';
import { printStatistics } from './statistics.ts';
import type { Tunnel } from './tunnel.ts';

export interface UapiServerOptions extends Omit<RequestServerOptions, 'answer'> {
  tunnel: Tunnel;
  log: Log;
}

export function serveUapi(options: UapiServerOptions): Promise<RequestServer> {
  const { tunnel, log, ...rest } = options;
  return serveRequests({ ...rest, answer: request => answer(request, tunnel, log) });
}

function answer(text: string, tunnel: Tunnel, log: Log): string {
  try {
    if (text === 'get=statistics\n') return printStatistics(tunnel);
    const request = parseRequest(text);
    if ('get' in request) return printStatus(statusOf(tunnel));
    configure(tunnel, request.set);
    return printErrno();
  } catch (error) {
    const refused = asUapiError(error);
    log.error(`Configuration refused: ${refused.message}`);
    return printErrno(refused);
  }
}
