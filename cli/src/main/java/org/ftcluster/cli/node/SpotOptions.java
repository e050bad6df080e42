package org.ftcluster.cli.node;

import java.net.URI;
import java.util.Optional;
import org.ftcluster.worker.rank.WorkerNode;
import org.ftcluster.worker.spot.Cloud;
import org.ftcluster.worker.spot.SpotNotices;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Whether a worker asks its cloud for notices, and drains itself on one. */
final class SpotOptions {
  /** Whom to ask. */
  enum Spot {
    auto,
    aws,
    gcp,
    azure,
    none
  }

  @Option(
      names = "--spot",
      paramLabel = "CLOUD",
      defaultValue = "auto",
      description =
          "Whose notices that this machine is about to go are watched for: ${COMPLETION-CANDIDATES}"
              + " (default: auto, the cloud that the firmware names, if any). A notice drains the"
              + " worker.")
  private Spot spot = Spot.auto;

  @Option(
      names = "--spot-endpoint",
      paramLabel = "URL",
      description = "The cloud's metadata service (default: where the cloud documents it).")
  private @Nullable URI endpoint;

  /** Begins to watch; nothing where nobody is to be asked. */
  Optional<SpotNotices> watch(WorkerNode node) {
    return cloud().map(cloud -> SpotNotices.watch(cloud, endpoint, node::leave));
  }

  private Optional<Cloud> cloud() {
    return switch (spot) {
      case auto -> Cloud.ofThisMachine();
      case aws -> Optional.of(Cloud.AWS);
      case gcp -> Optional.of(Cloud.GCP);
      case azure -> Optional.of(Cloud.AZURE);
      case none -> Optional.empty();
    };
  }
}
