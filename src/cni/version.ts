/** The versions of the CNI specification that we speak, oldest first. */
export const CNI_VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export type CniVersion = (typeof CNI_VERSIONS)[number];
export const NEWEST: CniVersion = '1.1.0';

export function isCniVersion(text: unknown): text is CniVersion {
  return CNI_VERSIONS.includes(text as CniVersion);
}

/** Whether `version` is `other` or newer. */
export function atLeast(version: CniVersion, other: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(other);
}
