/** Everything an installation consists of, as plain objects, in the order in which they are made. */
import { readFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import {
  CONFIGMAPS,
  CRDS,
  type CustomResourceDefinition,
  type KubeObject,
  type ResourceType,
} from '../../kube/types.ts';
import { projectFile } from '../root.ts';
import { type Settings, settingsOf } from '../values/values.ts';
import { CONFIG_NAME } from './config.ts';
import { labels } from './labels.ts';
import { accessObjects } from './rbac.ts';
import { agentDaemonSet, engineDaemonSet, operatorDeployment } from './workloads.ts';

export interface Manifest {
  type: ResourceType;
  object: KubeObject;
}

/**
 * Applied one after the other; within a stage the order does not matter. Engines run before the configuration asks for what
 * they do, and agents that follow the configuration by themselves are there before those of a new version.
 */
export interface Stages {
  definitions: Manifest[];
  access: Manifest[];
  engines: Manifest[];
  config: Manifest[];
  workloads: Manifest[];
}

export interface InstallationInput {
  settings: Settings;
  config: Record<string, string>;
  namespace: string;
}

const DEFINITIONS = ['ciliumnodes', 'ciliumendpoints'];

export function installationObjects({ settings, config, namespace }: InstallationInput): Stages {
  const configMap: Manifest = {
    type: CONFIGMAPS,
    object: {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: CONFIG_NAME, namespace, labels: labels('config') },
      data: config,
    },
  };
  const engine = settings.encryption.enabled && settings.engine.enabled;
  return {
    definitions: DEFINITIONS.map(definition),
    access: accessObjects(settings, namespace),
    engines: engine ? [engineDaemonSet(settings, namespace)] : [],
    config: [configMap],
    workloads: [agentDaemonSet(settings, config, namespace), operatorDeployment(settings, config, namespace)],
  };
}

/** All that any choice of values could have made: what `uninstall` looks for. */
export function everyObject(namespace: string): Stages {
  const settings = settingsOf({});
  settings.encryption.enabled = true;
  return installationObjects({ settings, config: {}, namespace });
}

export function allOf(stages: Stages): Manifest[] {
  const { definitions, access, engines, config, workloads } = stages;
  return [...definitions, ...access, ...engines, ...config, ...workloads];
}

/** For `kubectl apply -f -`. */
export function manifestText(stages: Stages): string {
  return allOf(stages)
    .map(({ object }) => `---\n${stringify(object, { aliasDuplicateObjects: false })}`)
    .join('');
}

function definition(name: string): Manifest {
  const text = readFileSync(projectFile(`deploy/crds/${name}.yaml`), 'utf8');
  const object = parse(text) as CustomResourceDefinition;
  return {
    type: CRDS,
    object: { ...object, metadata: { ...object.metadata, labels: labels('definitions') } },
  };
}
