/** Answers about tokens and access: TokenReview and the family of SubjectAccessReview. */
import type { Call } from '../api.ts';
import { at, isObject, type JsonObject, type KubeObject, record, strings, text } from '../object.ts';
import { badRequest } from '../status.ts';
import type { Attributes } from './rbac.ts';
import { ISSUER } from './tokens.ts';
import type { User } from './user.ts';

/** The object as asked, with its status answered. */
export function answerReview(call: Call, asked: KubeObject): KubeObject {
  switch (call.resource.kind) {
    case 'TokenReview':
      return { ...asked, status: tokenStatus(call, asked) };
    case 'SelfSubjectReview':
      return { ...asked, status: { userInfo: userInfo(call.user) } };
    case 'SelfSubjectAccessReview':
      return { ...asked, status: accessStatus(call, call.user, record(asked, 'spec')) };
    case 'SubjectAccessReview':
    case 'LocalSubjectAccessReview':
      return { ...asked, status: accessStatus(call, subject(record(asked, 'spec')), record(asked, 'spec')) };
    case 'SelfSubjectRulesReview':
      return { ...asked, status: rulesStatus(call, text(asked, 'spec', 'namespace')) };
    default:
      throw new Error(`${call.resource.kind} is not a review`);
  }
}

function userInfo({ name, uid, groups, extra }: User): JsonObject {
  return { username: name, ...(uid ? { uid } : {}), groups, ...(extra ? { extra } : {}) };
}

function tokenStatus({ api }: Call, asked: KubeObject): JsonObject {
  const token = text(asked, 'spec', 'token');
  if (!token) throw badRequest('token is required for TokenReview in authentication');
  const audiences = strings(asked, 'spec', 'audiences');
  const found = api.tokens.review(token, audiences.length ? audiences : [ISSUER]);
  if (!found) return { user: {}, error: '[invalid bearer token, token lookup failed]' };
  return { authenticated: true, user: userInfo(found.user), audiences: found.audiences };
}

function subject(spec: JsonObject): User {
  const groups = strings(spec, 'groups');
  if (!text(spec, 'user') && !groups.length)
    throw badRequest('at least one of user or group must be specified');
  return { name: text(spec, 'user'), groups };
}

function accessStatus({ api }: Call, user: User, spec: JsonObject): JsonObject {
  const resource = at(spec, 'resourceAttributes');
  const path = at(spec, 'nonResourceAttributes');
  if (isObject(resource) === isObject(path))
    throw badRequest('exactly one of nonResourceAttributes or resourceAttributes must be specified');
  const wanted: Attributes = isObject(resource)
    ? {
        verb: text(resource, 'verb'),
        group: text(resource, 'group'),
        resource:
          text(resource, 'resource') +
          (text(resource, 'subresource') ? `/${text(resource, 'subresource')}` : ''),
        namespace: text(resource, 'namespace'),
        name: text(resource, 'name'),
      }
    : { verb: text(path, 'verb'), path: text(path, 'path') };
  const reason = api.rbac.allows(user, wanted);
  return { allowed: reason !== undefined, ...(reason ? { reason } : {}) };
}

function rulesStatus({ api, user }: Call, namespace: string): JsonObject {
  const all = user.groups.includes('system:masters')
    ? [
        { verbs: ['*'], apiGroups: ['*'], resources: ['*'], resourceNames: [], nonResourceURLs: [] },
        { verbs: ['*'], apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: ['*'] },
      ]
    : [...api.rbac.granted(user, namespace)].flatMap(item => item.rules);
  return {
    resourceRules: all
      .filter(rule => rule.resources.length)
      .map(({ verbs, apiGroups, resources, resourceNames }) => ({
        verbs,
        apiGroups,
        resources,
        ...(resourceNames.length ? { resourceNames } : {}),
      })),
    nonResourceRules: all
      .filter(rule => rule.nonResourceURLs.length)
      .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
    incomplete: false,
  };
}
