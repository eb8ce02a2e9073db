/** Who sends a request: by client certificate, or by bearer token. */
import type { IncomingMessage } from 'node:http';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { unauthorized } from '../status.ts';
import { ANONYMOUS, AUTHENTICATED, type User } from './user.ts';

export interface TokenAuthenticator {
  /** The user of a token for this server; undefined when it is not valid. */
  user(token: string): User | undefined;
}

/** The user of a request; 401 for a credential that is not valid, the anonymous user without one. */
export function authenticate(request: IncomingMessage, tokens: TokenAuthenticator): User {
  const socket = request.socket as TLSSocket;
  const header = request.headers.authorization;
  const certificate = socket.getPeerCertificate?.();
  if (certificate && Object.keys(certificate).length > 0) {
    if (socket.authorized) return certificateUser(certificate);
    if (!header) throw unauthorized();
  }
  if (!header) return ANONYMOUS;
  const bearer = /^bearer +(\S+)$/i.exec(header.trim());
  const user = bearer ? tokens.user(bearer[1] as string) : undefined;
  if (!user) throw unauthorized();
  return user;
}

function certificateUser({ subject }: PeerCertificate): User {
  const names = subject as unknown as Record<string, string | string[] | undefined>;
  const name = [names.CN ?? ''].flat()[0] as string;
  if (!name) throw unauthorized();
  return { name, groups: [...[names.O ?? []].flat(), AUTHENTICATED] };
}
