/** The cross-platform configuration protocol on /var/run/wireguard/NAME.sock. */
import { wipe } from '../proto/bytes.ts';
import { parseRequest, printErrno, type SetDevice } from '../proto/wireguard/uapi.ts';
import { type DeviceStatus, printStatus } from '../proto/wireguard/uapistatus.ts';
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
    return 'get' in request ? answerGet(tunnel) : answerSet(tunnel, request.set);
  } catch (error) {
    const refused = asUapiError(error);
    log.error(`Configuration refused: ${refused.message}`);
    return printErrno(refused);
  }
}

function answerGet(tunnel: Tunnel): string {
  const status = statusOf(tunnel);
  try {
    return printStatus(status);
  } finally {
    wipeKeys(status);
  }
}

function answerSet(tunnel: Tunnel, wanted: SetDevice): string {
  try {
    configure(tunnel, wanted);
    return printErrno();
  } finally {
    wipeKeys(wanted);
  }
}

/** Copies of them; that the texts had them cannot be helped. */
function wipeKeys({ privateKey, peers }: Pick<SetDevice, 'privateKey' | 'peers'> | DeviceStatus): void {
  if (privateKey) wipe(privateKey);
  for (const { presharedKey } of peers) if (presharedKey) wipe(presharedKey);
}
