package org.ftcluster.worker.spot;

import java.io.IOException;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Optional;
import org.ftcluster.worker.spot.SpotNotices.Notice;

/** Google Compute Engine: {@code instance/preempted} is TRUE from 30 seconds before the end. */
final class GcpNotices implements SpotNotices.Source {
  private static final Duration GRACE = Duration.ofSeconds(25);

  private final Metadata metadata;

  GcpNotices(Metadata metadata) {
    this.metadata = metadata;
  }

  @Override
  public Duration period() {
    return Duration.ofSeconds(1);
  }

  @Override
  public Optional<Notice> ask() throws IOException, InterruptedException {
    HttpResponse<String> answer =
        metadata.get("/computeMetadata/v1/instance/preempted", "Metadata-Flavor", "Google");
    if (answer.statusCode() != 200) {
      throw Metadata.unexpected(answer);
    }
    return answer.body().strip().equals("TRUE")
        ? Optional.of(new Notice("the machine is preempted", GRACE))
        : Optional.empty();
  }
}
