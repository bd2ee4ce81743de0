package stack;

import com.netflix.eureka.EurekaBootStrap;
import com.netflix.eureka.GzipEncodingEnforcingFilter;
import com.netflix.eureka.ServerRequestAuthFilter;
import com.netflix.eureka.StatusFilter;
import com.sun.jersey.api.container.filter.GZIPContentEncodingFilter;
import com.sun.jersey.spi.container.servlet.ServletContainer;
import java.net.InetSocketAddress;
import java.util.EnumSet;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import javax.servlet.DispatcherType;
import javax.servlet.Filter;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.servlet.DefaultServlet;
import org.eclipse.jetty.servlet.FilterHolder;
import org.eclipse.jetty.servlet.ServletContextHandler;

/**
 * A registry node with the filters of Netflix's WAR, in the WAR's context: its API is /eureka/v2.
 *
 * <p>It takes the same arguments as the Spring server beside it ({@code --eureka.client.service-url.defaultZone=…}), and
 * passes them to Netflix's configuration under the names that this has for them.
 */
public class NetflixEureka {
    private static final Pattern DASH = Pattern.compile("-(.)");
    private static final Map<String, String> NAMES = Map.of(
            "eureka.client.service-url.defaultZone", "eureka.serviceUrl.default",
            "eureka.client.register-with-eureka", "eureka.registration.enabled",
            "eureka.client.fetch-registry", "eureka.shouldFetchRegistry",
            "spring.application.name", "eureka.name",
            "server.port", "eureka.port");

    public static void main(String[] args) throws Exception {
        Map<String, String> given = new TreeMap<>();
        for (String arg : args) {
            String[] pair = arg.substring("--".length()).split("=", 2);
            given.put(pair[0], pair[1]);
        }
        System.setProperty("eureka.region", "default");
        System.setProperty("eureka.shouldUseDns", "false");
        System.setProperty("eureka.preferSameZone", "false");
        // It has no other name than the machine's, which its peer would have, too.
        System.setProperty("eureka.registration.enabled", "false");
        // Else it denies everybody for five minutes, where no peer has anything yet.
        System.setProperty("eureka.waitTimeInMsWhenSyncEmpty", "0");
        given.forEach((name, value) -> System.setProperty(netflixName(name), value));

        Server server = new Server(
                new InetSocketAddress(given.get("server.address"), Integer.parseInt(given.get("server.port"))));
        ServletContextHandler context = new ServletContextHandler(server, "/eureka");
        context.addEventListener(new EurekaBootStrap());
        add(context, new StatusFilter(), "/*");
        add(context, new ServerRequestAuthFilter(), "/*");
        add(context, new GzipEncodingEnforcingFilter(), "/v2/apps");
        add(context, new GzipEncodingEnforcingFilter(), "/v2/apps/*");
        FilterHolder jersey = new FilterHolder(new ServletContainer());
        String gzip = GZIPContentEncodingFilter.class.getName();
        jersey.setInitParameter("com.sun.jersey.config.property.packages", "com.sun.jersey;com.netflix");
        jersey.setInitParameter("com.sun.jersey.spi.container.ContainerRequestFilters", gzip);
        jersey.setInitParameter("com.sun.jersey.spi.container.ContainerResponseFilters", gzip);
        context.addFilter(jersey, "/*", EnumSet.of(DispatcherType.REQUEST));
        context.addServlet(DefaultServlet.class, "/");
        server.start();
        server.join();
    }

    private static void add(ServletContextHandler context, Filter filter, String path) {
        context.addFilter(new FilterHolder(filter), path, EnumSet.of(DispatcherType.REQUEST));
    }

    private static String netflixName(String name) {
        String known = NAMES.get(name);
        if (known != null) {
            return known;
        }
        String short_ = name.replaceFirst("^eureka\\.(client|server|instance)\\.", "eureka.");
        return DASH.matcher(short_).replaceAll(found -> found.group(1).toUpperCase());
    }
}
