/** Label, field and node selectors, as Kubernetes reads them. */
import type {
  LabelSelector,
  LabelSelectorRequirement,
  Node,
  NodeSelectorRequirement,
  NodeSelectorTerm,
} from '../../kube/types.ts';

type Labels = Readonly<Record<string, string>> | undefined;

/** No selector selects nothing; an empty one everything. */
export function selects(selector: LabelSelector | undefined, labels: Labels): boolean {
  if (selector === undefined) return false;
  return (
    includesLabels(labels, selector.matchLabels) &&
    (selector.matchExpressions ?? []).every(requirement => meets(requirement, labels?.[requirement.key]))
  );
}

/** Whether `labels` has every pair of `wanted`. */
export function includesLabels(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted ?? {}).every(([key, value]) => labels?.[key] === value);
}

/** A term without expressions selects no node. */
export function termSelectsNode(term: NodeSelectorTerm, node: Node): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length + fields.length === 0) return false;
  return (
    expressions.every(requirement => meets(requirement, node.metadata.labels?.[requirement.key])) &&
    fields.every(field => field.key === 'metadata.name' && meets(field, node.metadata.name))
  );
}

function meets(
  requirement: LabelSelectorRequirement | NodeSelectorRequirement,
  value: string | undefined,
): boolean {
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return isInteger(value) && isInteger(values[0]) && Number(value) > Number(values[0]);
    case 'Lt':
      return isInteger(value) && isInteger(values[0]) && Number(value) < Number(values[0]);
  }
}

function isInteger(text: string | undefined): boolean {
  return text !== undefined && /^-?\d+$/.test(text);
}
