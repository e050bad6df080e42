package org.ftcluster.cli.client;

import org.ftcluster.cli.console.CommandException;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** {@code HOST:PORT}; an IPv6 host stands in brackets. Port 0 means any free one. */
public record Address(String host, int port) {
  /** Reads {@code HOST:PORT}. */
  public static Address parse(String text) {
    int colon = text.lastIndexOf(':');
    String host = colon < 0 ? "" : text.substring(0, colon);
    if (host.startsWith("[") && host.endsWith("]")) {
      host = host.substring(1, host.length() - 1);
    } else if (host.contains(":")) {
      host = "";
    }
    int port = port(text.substring(colon + 1));
    if (host.isEmpty() || port < 0) {
      throw CommandException.badRequest(
          "'%s' is not an address: HOST:PORT is wanted, for instance 127.0.0.1:7600"
              .formatted(text));
    }
    return new Address(host, port);
  }

  private static int port(String digits) {
    if (!digits.matches("[0-9]{1,5}")) {
      return -1;
    }
    int port = Integer.parseInt(digits);
    return port <= 65535 ? port : -1;
  }

  @Override
  public String toString() {
    return (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
  }

  /** For picocli. */
  public static final class Converter implements ITypeConverter<Address> {
    @Override
    public Address convert(String value) {
      try {
        return parse(value);
      } catch (CommandException e) {
        throw new TypeConversionException(e.getMessage());
      }
    }
  }
}
