package org.ftcluster.worker.spot;

import java.io.IOException;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Optional;
import org.ftcluster.worker.spot.SpotNotices.Notice;

/**
 * Amazon EC2, instance metadata service version 2: a token for a while, then {@code
 * spot/instance-action}, which is not found until two minutes before the end, and {@code
 * events/recommendations/rebalance}, which may come earlier.
 */
final class AwsNotices implements SpotNotices.Source {
  private static final Duration TOKEN_LIFE = Duration.ofHours(6);
  private static final Duration GRACE = Duration.ofSeconds(110);

  private final Metadata metadata;
  private String token = "";

  AwsNotices(Metadata metadata) {
    this.metadata = metadata;
  }

  @Override
  public Duration period() {
    return Duration.ofSeconds(5);
  }

  @Override
  public Optional<Notice> ask() throws IOException, InterruptedException {
    if (found("/latest/meta-data/spot/instance-action")) {
      return Optional.of(new Notice("a spot interruption notice", GRACE));
    }
    return found("/latest/meta-data/events/recommendations/rebalance")
        ? Optional.of(new Notice("a rebalance recommendation", GRACE))
        : Optional.empty();
  }

  private boolean found(String path) throws IOException, InterruptedException {
    HttpResponse<String> answer = get(path);
    if (answer.statusCode() == 401) {
      token = ""; // it has run out
      answer = get(path);
    }
    return switch (answer.statusCode()) {
      case 200 -> true;
      case 404 -> false;
      default -> throw Metadata.unexpected(answer);
    };
  }

  private HttpResponse<String> get(String path) throws IOException, InterruptedException {
    if (token.isEmpty()) {
      HttpResponse<String> answer =
          metadata.put(
              "/latest/api/token",
              "X-aws-ec2-metadata-token-ttl-seconds",
              String.valueOf(TOKEN_LIFE.toSeconds()));
      if (answer.statusCode() != 200) {
        throw Metadata.unexpected(answer);
      }
      token = answer.body();
    }
    return metadata.get(path, "X-aws-ec2-metadata-token", token);
  }
}
