package org.ftcluster.worker.spot;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.time.Duration;
import java.util.Optional;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Asks a cloud's metadata service, again and again, whether this machine is about to be taken away.
 * Where the service can't be reached nothing happens, but for a line in the log.
 */
public final class SpotNotices implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(SpotNotices.class);

  /** One service's way of telling. */
  interface Source {
    /** How often it wants to be asked, and not more often. */
    Duration period();

    /**
     * Asks once; may take a few seconds.
     *
     * @return nothing while the machine stays
     */
    Optional<Notice> ask() throws IOException, InterruptedException;
  }

  /**
   * The machine goes.
   *
   * @param reason a clause
   * @param grace how long it is still there, at least
   */
  record Notice(String reason, Duration grace) {}

  private final Thread thread;

  private SpotNotices(Source source, BiConsumer<String, Duration> onNotice) {
    thread = Thread.ofVirtual().name("spot-notices").unstarted(() -> watch(source, onNotice));
    thread.start();
  }

  /**
   * Begins to watch.
   *
   * @param endpoint of the service; {@code null} for the one that the cloud documents
   * @param onNotice hears once, from another thread: a reason, and how long the machine is still
   *     there
   */
  public static SpotNotices watch(
      Cloud cloud, @Nullable URI endpoint, BiConsumer<String, Duration> onNotice) {
    HttpClient http = HttpClient.newBuilder().connectTimeout(Metadata.TIMEOUT).build();
    URI base = endpoint == null ? cloud.endpoint() : endpoint;
    Metadata metadata = new Metadata(http, base);
    return new SpotNotices(
        switch (cloud) {
          case AWS -> new AwsNotices(metadata);
          case GCP -> new GcpNotices(metadata);
          case AZURE -> new AzureNotices(metadata);
        },
        onNotice);
  }

  private static void watch(Source source, BiConsumer<String, Duration> onNotice) {
    boolean saidSo = false;
    try {
      while (true) {
        try {
          Optional<Notice> notice = source.ask();
          saidSo = false;
          if (notice.isPresent()) {
            onNotice.accept(notice.get().reason(), notice.get().grace());
            return;
          }
        } catch (IOException e) {
          if (!saidSo) {
            log.warn("spot notices can't be read: {}", e.toString());
            saidSo = true;
          }
        }
        Thread.sleep(source.period());
      }
    } catch (InterruptedException e) {
      log.debug("no longer watching for spot notices");
    }
  }

  @Override
  public void close() {
    thread.interrupt();
  }
}
