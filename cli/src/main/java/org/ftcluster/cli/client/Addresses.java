package org.ftcluster.cli.client;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.ftcluster.cli.console.CommandException;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** {@code HOST:PORT,HOST:PORT...}: coordinators of one cluster, any of which will do. */
public record Addresses(List<Address> all) {
  public Addresses {
    all = List.copyOf(all);
  }

  static Addresses parse(String text) {
    return new Addresses(Arrays.stream(text.split(",", -1)).map(Address::parse).toList());
  }

  /** The one that is tried first. */
  public Address first() {
    return all.getFirst();
  }

  @Override
  public String toString() {
    return all.stream().map(Address::toString).collect(Collectors.joining(","));
  }

  /** For picocli. */
  static final class Converter implements ITypeConverter<Addresses> {
    @Override
    public Addresses convert(String value) {
      try {
        return parse(value);
      } catch (CommandException e) {
        throw new TypeConversionException(e.getMessage());
      }
    }
  }
}
