/** Pod specs, of pods and of templates: what is filled in, and what is refused. */

import { isLabel, isSubdomain, labelProblems } from '../names.ts';
import { ensure, isObject, type JsonObject, objects, preset, record, text } from '../object.ts';
import {
  duplicateValue,
  type FieldError,
  forbiddenValue,
  invalidValue,
  notFoundValue,
  requiredValue,
  unsupportedValue,
} from '../status.ts';

export function defaultPodSpec(spec: JsonObject): void {
  preset(spec, 'restartPolicy', 'Always');
  preset(spec, 'terminationGracePeriodSeconds', 30);
  preset(spec, 'dnsPolicy', 'ClusterFirst');
  preset(spec, 'securityContext', {});
  preset(spec, 'schedulerName', 'default-scheduler');
  const account = text(spec, 'serviceAccountName') || text(spec, 'serviceAccount');
  if (account) {
    spec.serviceAccountName = account;
    spec.serviceAccount = account;
  }
  for (const container of allContainers(spec)) defaultContainer(container, spec.hostNetwork === true);
  for (const volume of objects(spec, 'volumes')) defaultVolume(volume);
}

/** Containers, init containers and ephemeral containers. */
export function allContainers(spec: JsonObject): JsonObject[] {
  return [
    ...objects(spec, 'initContainers'),
    ...objects(spec, 'containers'),
    ...objects(spec, 'ephemeralContainers'),
  ];
}

function defaultContainer(container: JsonObject, hostNetwork: boolean): void {
  preset(container, 'imagePullPolicy', pullPolicy(text(container, 'image')));
  preset(container, 'terminationMessagePath', '/dev/termination-log');
  preset(container, 'terminationMessagePolicy', 'File');
  preset(container, 'resources', {});
  for (const port of objects(container, 'ports')) {
    preset(port, 'protocol', 'TCP');
    if (hostNetwork) preset(port, 'hostPort', port.containerPort);
  }
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    const probe = container[name];
    if (!isObject(probe)) continue;
    preset(probe, 'timeoutSeconds', 1);
    preset(probe, 'periodSeconds', 10);
    preset(probe, 'successThreshold', 1);
    preset(probe, 'failureThreshold', 3);
    defaultHandler(probe);
    if (isObject(probe.grpc)) preset(probe.grpc, 'service', '');
  }
  for (const hook of Object.values(record(container, 'lifecycle'))) if (isObject(hook)) defaultHandler(hook);
  for (const variable of objects(container, 'env')) {
    const reference = record(variable, 'valueFrom').fieldRef;
    if (isObject(reference)) preset(reference, 'apiVersion', 'v1');
    const resource = record(variable, 'valueFrom').resourceFieldRef;
    if (isObject(resource)) preset(resource, 'divisor', '0');
  }
}

function defaultHandler(handler: JsonObject): void {
  if (!isObject(handler.httpGet)) return;
  preset(handler.httpGet, 'path', '/');
  preset(handler.httpGet, 'scheme', 'HTTP');
}

/** Images tagged latest, or not at all, are pulled always. */
function pullPolicy(image: string): string {
  const last = image.split('/').pop() ?? '';
  if (last.includes('@')) return 'IfNotPresent';
  const tag = last.split(':')[1];
  return tag === undefined || tag === 'latest' ? 'Always' : 'IfNotPresent';
}

const MODE = 0o644;

function defaultVolume(volume: JsonObject): void {
  if (Object.keys(volume).filter(key => key !== 'name').length === 0) volume.emptyDir = {};
  for (const kind of ['secret', 'configMap', 'downwardAPI', 'projected'])
    if (isObject(volume[kind])) preset(volume[kind], 'defaultMode', MODE);
  if (isObject(volume.hostPath)) preset(volume.hostPath, 'type', '');
  defaultDownward(record(volume, 'downwardAPI'));
  for (const source of objects(volume, 'projected', 'sources')) {
    if (isObject(source.serviceAccountToken)) preset(source.serviceAccountToken, 'expirationSeconds', 3600);
    defaultDownward(record(source, 'downwardAPI'));
  }
  if (isObject(volume.ephemeral))
    preset(ensure(volume.ephemeral, 'volumeClaimTemplate', 'spec'), 'volumeMode', 'Filesystem');
}

function defaultDownward(source: JsonObject): void {
  for (const item of objects(source, 'items'))
    if (isObject(item.fieldRef)) preset(item.fieldRef, 'apiVersion', 'v1');
}

export function defaultTemplate(spec: JsonObject): void {
  defaultPodSpec(ensure(spec, 'template', 'spec'));
  ensure(spec, 'template', 'metadata');
}

export function validatePodSpec(spec: JsonObject, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const volumes = validateVolumes(spec, `${field}.volumes`, errors);
  if (!objects(spec, 'containers').length) errors.push(requiredValue(`${field}.containers`));
  const names = new Set<string>();
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'])
    objects(spec, list).forEach((container, index) => {
      const path = `${field}.${list}[${index}]`;
      const name = text(container, 'name');
      if (!name) errors.push(requiredValue(`${path}.name`));
      else if (!isLabel(name))
        errors.push(invalidValue(`${path}.name`, name, 'a lowercase RFC 1123 label is needed'));
      else if (names.has(name)) errors.push(duplicateValue(`${path}.name`, name));
      names.add(name);
      errors.push(...validateContainer(container, path, volumes));
    });
  const allowed = (key: string, values: readonly string[]) => {
    if (typeof spec[key] === 'string' && !values.includes(spec[key]))
      errors.push(unsupportedValue(`${field}.${key}`, spec[key], values));
  };
  allowed('restartPolicy', ['Always', 'OnFailure', 'Never']);
  allowed('dnsPolicy', ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None']);
  const grace = spec.terminationGracePeriodSeconds;
  if (typeof grace === 'number' && grace < 0)
    errors.push(
      invalidValue(`${field}.terminationGracePeriodSeconds`, grace, 'must be greater than or equal to 0'),
    );
  for (const key of ['serviceAccountName', 'nodeName', 'priorityClassName'])
    if (text(spec, key) && !isSubdomain(text(spec, key)))
      errors.push(invalidValue(`${field}.${key}`, spec[key], 'a lowercase RFC 1123 subdomain is needed'));
  errors.push(
    ...labelProblems(record(spec, 'nodeSelector') as Record<string, string>, `${field}.nodeSelector`),
  );
  objects(spec, 'tolerations').forEach((toleration, index) => {
    const path = `${field}.tolerations[${index}]`;
    const { operator = 'Equal', key = '', value = '', effect, tolerationSeconds } = toleration;
    if (!['Equal', 'Exists'].includes(operator as string))
      errors.push(unsupportedValue(`${path}.operator`, operator, ['Equal', 'Exists']));
    if (operator === 'Exists' && value !== '')
      errors.push(
        invalidValue(`${path}.operator`, toleration, "value must be empty when `operator` is 'Exists'"),
      );
    if (key === '' && operator !== 'Exists')
      errors.push(
        invalidValue(
          `${path}.operator`,
          operator,
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      );
    if (tolerationSeconds !== undefined && effect !== 'NoExecute')
      errors.push(
        invalidValue(
          `${path}.effect`,
          effect ?? '',
          "effect must be 'NoExecute' when `tolerationSeconds` is set",
        ),
      );
  });
  return errors;
}

const SOURCES = /^(?!name$)/;

function validateVolumes(spec: JsonObject, field: string, errors: FieldError[]): Set<string> {
  const names = new Set<string>();
  objects(spec, 'volumes').forEach((volume, index) => {
    const path = `${field}[${index}]`;
    const name = text(volume, 'name');
    if (!name) errors.push(requiredValue(`${path}.name`));
    else if (!isLabel(name))
      errors.push(invalidValue(`${path}.name`, name, 'a lowercase RFC 1123 label is needed'));
    else if (names.has(name)) errors.push(duplicateValue(`${path}.name`, name));
    names.add(name);
    const sources = Object.keys(volume).filter(key => SOURCES.test(key));
    for (const extra of sources.slice(1))
      errors.push(forbiddenValue(`${path}.${extra}`, 'may not specify more than 1 volume type'));
    if (isObject(volume.hostPath) && !text(volume.hostPath, 'path'))
      errors.push(requiredValue(`${path}.hostPath.path`));
    if (isObject(volume.secret) && !text(volume.secret, 'secretName'))
      errors.push(requiredValue(`${path}.secret.secretName`));
    if (isObject(volume.configMap) && !text(volume.configMap, 'name'))
      errors.push(requiredValue(`${path}.configMap.name`));
  });
  return names;
}

function validateContainer(container: JsonObject, field: string, volumes: ReadonlySet<string>): FieldError[] {
  const errors: FieldError[] = [];
  if (!text(container, 'image')) errors.push(requiredValue(`${field}.image`));
  const policy = container.imagePullPolicy;
  if (policy !== undefined && !['Always', 'IfNotPresent', 'Never'].includes(policy as string))
    errors.push(unsupportedValue(`${field}.imagePullPolicy`, policy, ['Always', 'IfNotPresent', 'Never']));
  objects(container, 'ports').forEach((port, index) => {
    const path = `${field}.ports[${index}]`;
    for (const key of ['containerPort', 'hostPort']) {
      const value = port[key];
      if (value === undefined && key === 'hostPort') continue;
      if (value === undefined) errors.push(requiredValue(`${path}.${key}`));
      else if (!isPort(value))
        errors.push(invalidValue(`${path}.${key}`, value, 'must be between 1 and 65535, inclusive'));
    }
    if (!['TCP', 'UDP', 'SCTP'].includes(text(port, 'protocol')))
      errors.push(unsupportedValue(`${path}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']));
  });
  objects(container, 'env').forEach((variable, index) => {
    const path = `${field}.env[${index}]`;
    const name = text(variable, 'name');
    if (!name) errors.push(requiredValue(`${path}.name`));
    else if (!/^[\x20-\x3c\x3e-\x7e]+$/.test(name))
      errors.push(
        invalidValue(
          `${path}.name`,
          name,
          "a valid environment variable name must consist only of printable ASCII characters other than '='",
        ),
      );
    if (isObject(variable.valueFrom)) {
      if (text(variable, 'value'))
        errors.push(invalidValue(`${path}.valueFrom`, '', 'may not be specified when `value` is not empty'));
      if (Object.keys(variable.valueFrom).length !== 1)
        errors.push(
          invalidValue(
            `${path}.valueFrom`,
            '',
            Object.keys(variable.valueFrom).length
              ? 'may not have more than one field specified at a time'
              : 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
          ),
        );
    }
  });
  const paths = new Set<string>();
  objects(container, 'volumeMounts').forEach((mount, index) => {
    const path = `${field}.volumeMounts[${index}]`;
    if (!text(mount, 'name')) errors.push(requiredValue(`${path}.name`));
    else if (!volumes.has(text(mount, 'name'))) errors.push(notFoundValue(`${path}.name`, mount.name));
    const where = text(mount, 'mountPath');
    if (!where) errors.push(requiredValue(`${path}.mountPath`));
    else if (paths.has(where)) errors.push(invalidValue(`${path}.mountPath`, where, 'must be unique'));
    paths.add(where);
  });
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    const probe = container[name];
    if (!isObject(probe)) continue;
    const handlers = ['exec', 'httpGet', 'tcpSocket', 'grpc'].filter(kind => probe[kind] !== undefined);
    if (handlers.length === 0) errors.push(requiredValue(`${field}.${name}`, 'must specify a handler type'));
    for (const extra of handlers.slice(1))
      errors.push(forbiddenValue(`${field}.${name}.${extra}`, 'may not specify more than 1 handler type'));
  }
  return errors;
}

export function isPort(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535;
}
