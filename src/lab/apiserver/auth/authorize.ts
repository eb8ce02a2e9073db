/** Who may do what, and the words in which it is refused. */
import type { IncomingMessage } from 'node:http';
import type { ResourceRequest } from '../path.ts';
import { StatusError } from '../status.ts';
import type { Attributes, Rbac } from './rbac.ts';
import { AUTHENTICATED, type User } from './user.ts';

export function attributes(request: ResourceRequest): Attributes & { resource: string } {
  const { verb, group, plural, namespace, selected, subresource } = request;
  const resource = subresource ? `${plural}/${subresource.split('/')[0]}` : plural;
  return { verb, group, resource, namespace, name: selected };
}

/** 403 unless the user may do what the request asks for. */
export function authorizeResource(rbac: Rbac, user: User, request: ResourceRequest): void {
  const wanted = attributes(request);
  if (rbac.allows(user, wanted) !== undefined) return;
  throw refusal(user, wanted, request.plural);
}

export function authorizePath(rbac: Rbac, user: User, method: string, path: string): void {
  const verb = method.toLowerCase() === 'head' ? 'get' : method.toLowerCase();
  if (rbac.allows(user, { verb, path }) !== undefined) return;
  throw new StatusError(403, 'Forbidden', `forbidden: User "${user.name}" cannot ${verb} path "${path}"`, {});
}

export function refusal(user: User, wanted: Attributes & { resource: string }, plural: string): StatusError {
  if ('path' in wanted) throw new Error('a path is not a resource');
  const { verb, group, resource, namespace, name } = wanted;
  const qualified = group ? `${plural}.${group}` : plural;
  const where = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope';
  const what = `User "${user.name}" cannot ${verb} resource "${resource}" in API group "${group}" ${where}`;
  return new StatusError(403, 'Forbidden', `${qualified}${name ? ` "${name}"` : ''} is forbidden: ${what}`, {
    ...(name ? { name } : {}),
    ...(group ? { group } : {}),
    kind: plural,
  });
}

/** The user to act as, by the Impersonate headers; 403 when the caller may not. */
export function impersonate(rbac: Rbac, caller: User, { headers }: IncomingMessage): User {
  const name = headers['impersonate-user'];
  const groups = [headers['impersonate-group'] ?? []]
    .flat()
    .flatMap(value => value.split(',').map(part => part.trim()));
  if (typeof name !== 'string' || name === '') {
    if (groups.length)
      throw new StatusError(400, 'BadRequest', 'requested groups without impersonating a user');
    return caller;
  }
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);
  const asked = account
    ? { resource: 'serviceaccounts', namespace: account[1] as string, name: account[2] as string }
    : { resource: 'users', namespace: '', name };
  const wanted = [asked, ...groups.map(group => ({ resource: 'groups', namespace: '', name: group }))];
  for (const item of wanted) {
    const full = { verb: 'impersonate', group: '', ...item };
    if (rbac.allows(caller, full) === undefined) throw refusal(caller, full, item.resource);
  }
  const own = account ? ['system:serviceaccounts', `system:serviceaccounts:${account[1]}`] : [];
  return { name, groups: [...new Set([...groups, ...own, AUTHENTICATED])] };
}
