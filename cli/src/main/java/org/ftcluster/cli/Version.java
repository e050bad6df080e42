package org.ftcluster.cli;

import picocli.CommandLine.IVersionProvider;

/** The version Maven wrote into the jar. */
final class Version implements IVersionProvider {
  @Override
  public String[] getVersion() {
    String version = Version.class.getPackage().getImplementationVersion();
    return new String[] {"ftcluster " + (version == null ? "(not packaged)" : version)};
  }
}
