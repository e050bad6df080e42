package org.ftcluster.worker.spot;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;

/** Clouds whose machines may be taken away at short notice. */
public enum Cloud {
  AWS("http://169.254.169.254", "Amazon EC2"),
  GCP("http://metadata.google.internal", "Google"),
  AZURE("http://169.254.169.254", "Microsoft Corporation");

  private static final Path FIRMWARE = Path.of("/sys/class/dmi/id/sys_vendor");

  private final URI endpoint;
  private final String vendor;

  Cloud(String endpoint, String vendor) {
    this.endpoint = URI.create(endpoint);
    this.vendor = vendor;
  }

  /** The cloud that this machine's firmware names; nothing where that is none of them. */
  public static Optional<Cloud> ofThisMachine() {
    return namedIn(FIRMWARE);
  }

  static Optional<Cloud> namedIn(Path vendorFile) {
    try {
      String vendor = Files.readString(vendorFile).strip();
      return Arrays.stream(values()).filter(cloud -> cloud.vendor.equals(vendor)).findFirst();
    } catch (IOException e) {
      return Optional.empty(); // no such firmware, or none that we may read
    }
  }

  /** Where its metadata service is, for machines of this cloud alone. */
  URI endpoint() {
    return endpoint;
  }
}
